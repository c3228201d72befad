"""
The kernel for Python: runs cells in one namespace, with top-level `await`, the value of the last expression, rich
results, figures of matplotlib, and the commonest of what notebooks know: `!command`, `%pip`, `%cd`, `%%bash`.
"""
import ast, asyncio, base64, inspect, io, json, linecache, os, re, shlex, signal, socket, subprocess, sys, threading
import time, traceback, types

MAX_TEXT = 1 << 20
MIME = {
    'text/plain': 'text', 'text/html': 'html', 'text/markdown': 'markdown', 'image/svg+xml': 'svg', 'image/png': 'png',
    'image/jpeg': 'jpeg', 'application/pdf': 'pdf', 'text/latex': 'latex', 'application/json': 'json',
    'application/javascript': 'javascript',
}
METHODS = {
    'html': '_repr_html_', 'markdown': '_repr_markdown_', 'svg': '_repr_svg_', 'png': '_repr_png_',
    'jpeg': '_repr_jpeg_', 'pdf': '_repr_pdf_', 'latex': '_repr_latex_', 'json': '_repr_json_',
    'javascript': '_repr_javascript_',
}
channel = socket.socket(fileno=3)
channel.set_inheritable(False)
telling = threading.Lock()
requests = channel.makefile('rb')
main = types.ModuleType('__main__')
namespace = main.__dict__
loop = None


def tell(**news):
    with telling: channel.sendall(json.dumps(news).encode() + b'\n')


class KernelExit(BaseException):
    pass


# What a value looks like

def bundle_of(value):
    bundle = {}
    figures = sys.modules.get('matplotlib.figure')
    if figures and isinstance(value, figures.Figure):
        bundle['png'] = drawn(value)
    elif not isinstance(value, type):
        for field, method in METHODS.items():
            shown = attempt(getattr(value, method, None))
            if isinstance(shown, tuple): shown = shown[0]
            if shown is not None: bundle[field] = shown
        shown = attempt(getattr(value, '_repr_mimebundle_', None))
        if isinstance(shown, tuple): shown = shown[0]
        if isinstance(shown, dict):
            bundle.update({MIME[mime]: item for mime, item in shown.items() if mime in MIME})
    if 'text' not in bundle: bundle['text'] = text_of(value)
    return {field: printable(field, item) for field, item in bundle.items()}


def attempt(method):
    if not callable(method): return None
    try: return method()
    except Exception: return None


def text_of(value):
    try: text = repr(value)
    except Exception as error: text = f'<{type(value).__name__} whose repr failed: {type(error).__name__}: {error}>'
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + '…'


def printable(field, item):
    if isinstance(item, (bytes, bytearray)):
        return base64.b64encode(item).decode() if field in ('png', 'jpeg', 'pdf') else item.decode('utf-8', 'replace')
    if field != 'json' or isinstance(item, str): return item if isinstance(item, str) else str(item)
    return json.loads(json.dumps(item, default=str))


def display(*values, raw=False, **_):
    for value in values:
        sys.stdout.flush()
        if raw and isinstance(value, dict): tell(result={MIME[key]: printable(MIME[key], item) for key, item in value.items() if key in MIME})
        else: tell(result=bundle_of(value))


def show_figures():
    """Figures that were drawn and not closed, as a notebook shows them at the end of a cell."""
    pyplot = sys.modules.get('matplotlib.pyplot')
    if pyplot is None: return
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        tell(result={'png': printable('png', drawn(figure)), 'text': text_of(figure)})
    pyplot.close('all')


def drawn(figure):
    """A figure as a picture, which is then not shown once more at the end of the cell."""
    image = io.BytesIO()
    figure.savefig(image, format='png', bbox_inches='tight')
    if 'matplotlib.pyplot' in sys.modules: sys.modules['matplotlib.pyplot'].close(figure)
    return image.getvalue()


# `from IPython.display import …`, where there is no IPython

def shown_as(name, field):
    class Shown:
        def __init__(self, data=None, filename=None, **_):
            if data is None and filename is not None:
                with open(filename, 'rb') as file: data = file.read()
            self.data = data
        def __repr__(self): return f'<IPython.core.display.{name} object>'
    setattr(Shown, METHODS[field], lambda self: self.data)
    Shown.__name__ = Shown.__qualname__ = name
    return Shown


class Image:
    def __init__(self, data=None, filename=None, **_):
        filename = filename or (data if isinstance(data, str) else None)
        if filename:
            with open(filename, 'rb') as file: data = file.read()
        self.data = data
    def __repr__(self): return '<IPython.core.display.Image object>'
    def _repr_png_(self): return None if self.data[:2] == b'\xff\xd8' else self.data
    def _repr_jpeg_(self): return self.data if self.data[:2] == b'\xff\xd8' else None


class Notebook:
    """Finds the modules of IPython that cells import the most; behind all others, so that a real one comes first."""

    def find_spec(self, name, path=None, target=None):
        if name not in ('IPython', 'IPython.display', 'IPython.core', 'IPython.core.display'): return None
        from importlib.machinery import ModuleSpec
        return ModuleSpec(name, self, is_package=name in ('IPython', 'IPython.core'))

    def create_module(self, spec): return None

    def exec_module(self, module):
        kinds = {'HTML': 'html', 'Markdown': 'markdown', 'SVG': 'svg', 'Latex': 'latex', 'JSON': 'json',
                 'Javascript': 'javascript', 'Math': 'latex', 'Pretty': 'markdown'}
        module.__dict__.update({name: shown_as(name, field) for name, field in kinds.items()})
        module.__dict__.update(Image=Image, display=display, clear_output=lambda wait=False: None, get_ipython=lambda: None)


# What is no Python

def shell(command):
    def value(match):
        try: return str(eval(match[1], namespace))
        except Exception: return match[0]
    sys.stdout.flush()
    return subprocess.run(['/bin/bash', '-c', re.sub(r'\{([^{}$"\']+)\}', value, command)]).returncode


def captured(command):
    return subprocess.run(['/bin/bash', '-c', command], stdout=subprocess.PIPE, text=True).stdout.splitlines()


def magic(name, rest):
    if name == 'pip': return shell(f'{shlex.quote(sys.executable)} -m pip {rest}')
    if name in ('ls', 'cat', 'mkdir', 'rm', 'cp', 'mv', 'head', 'tail'): return shell(f'{name} {rest}')
    if name == 'cd': return os.chdir(os.path.expanduser(rest.strip() or '~'))
    if name == 'pwd': return print(os.getcwd())
    if name in ('env', 'set_env'):
        variable, separator, value = rest.partition('=')
        if separator: os.environ[variable.strip()] = value.strip()
        else: print(os.environ.get(rest.strip(), '') if rest.strip() else dict(os.environ))
        return
    if name in ('time', 'timeit'):
        begun = time.perf_counter()
        run(rest, '<time>', False)
        return print(f'Wall time: {time.perf_counter() - begun:.3g} s')
    if name not in ('matplotlib', 'load_ext', 'autoreload', 'config', 'reload_ext'):
        raise NameError(f'there is no magic command %{name} here')


def cell_magic(name, rest, body):
    if name in ('bash', 'sh'):
        code = subprocess.run(['/bin/bash', '-c', body]).returncode
        if code: raise subprocess.CalledProcessError(code, '%%bash')
    elif name == 'writefile':
        with open(os.path.expanduser(rest.strip()), 'w') as file: file.write(body)
        print(f'Writing {rest.strip()}')
    elif name in ('html', 'markdown', 'latex', 'javascript', 'svg'): tell(result={name: body})
    elif name in ('time', 'timeit'): magic('time', body)
    elif name == 'capture': run(body, '<capture>', False)
    else: raise NameError(f'there is no magic command %%{name} here')


LINES = (
    (re.compile(r'^(\s*)([\w.\[\], ]+=\s*)!(.+)$'), lambda m: f'{m[1]}{m[2]}__freehold__.captured({m[3]!r})'),
    (re.compile(r'^(\s*)!(.+)$'), lambda m: f'{m[1]}__freehold__.shell({m[2]!r})'),
    (re.compile(r'^(\s*)%(\w+)[ \t]*(.*)$'), lambda m: f'{m[1]}__freehold__.magic({m[2]!r}, {m[3]!r})'),
)


def translated(code):
    """Code with what only notebooks know made into calls. What is Python as it stands is left alone."""
    first = re.match(r'^\s*%%(\w+)[ \t]*(.*)\n?', code)
    if first: return f'__freehold__.cell_magic({first[1]!r}, {first[2]!r}, {code[first.end():]!r})'
    lines = code.split('\n')
    for number, line in enumerate(lines):
        for pattern, call in LINES:
            match = pattern.match(line)
            if match:
                lines[number] = call(match) + ';'
                break
    return '\n'.join(lines)


# Running

def parsed(code, name):
    try: return ast.parse(code, name), code
    except SyntaxError as error:
        plain = translated(code)
        if plain == code: raise
        try: return ast.parse(plain, name), plain
        except SyntaxError: raise error from None


def run(code, name, shows):
    tree, code = parsed(code, name)
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    evaluate(ast.Module(tree.body, tree.type_ignores), name, 'exec')
    if last is None: return
    value = evaluate(ast.Expression(last.value), name, 'eval')
    if not shows or value is None or code.rstrip().endswith(';'): return
    namespace['_'] = value
    sys.stdout.flush()
    tell(result=bundle_of(value), main=True)


def evaluate(tree, name, mode):
    global loop
    compiled = compile(tree, name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    value = eval(compiled, namespace)
    if not compiled.co_flags & inspect.CO_COROUTINE: return value
    if loop is None or loop.is_closed(): loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(value)
    try: return loop.run_until_complete(task)
    except KeyboardInterrupt:
        task.cancel()
        try: loop.run_until_complete(task)
        except BaseException: pass
        raise


def tell_error(error):
    """Without our own frames, which are before those of cells."""
    frames = error.__traceback__
    while frames is not None and not frames.tb_frame.f_code.co_filename.startswith('<cell '): frames = frames.tb_next
    try: text = ''.join(traceback.format_exception(type(error), error, frames))
    except Exception: text = type(error).__name__
    try: value = str(error)
    except Exception: value = ''
    tell(error=[type(error).__name__, value[:MAX_TEXT], text[:MAX_TEXT]])


def attend(request):
    before = dict(os.environ)
    os.environ.update(request['env'])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(request['code'], f'<cell {request["count"]}>', True)
    except KernelExit:
        raise
    except BaseException as error:
        signal.signal(signal.SIGINT, ignore)
        tell_error(error)
    finally:
        signal.signal(signal.SIGINT, ignore)
        for name in request['env']:
            if name in before: os.environ[name] = before[name]
            else: os.environ.pop(name, None)
        finish()


def finish():
    for work in (show_figures, lambda: sys.stdout.flush(), lambda: sys.stderr.flush()):
        try: work()
        except Exception as error: tell_error(error)


def ignore(*_): pass


def leave(code=0):
    raise KernelExit(code)


def serve():
    sys.modules['__main__'] = main
    namespace['__freehold__'] = types.SimpleNamespace(
        shell=shell, captured=captured, magic=magic, cell_magic=cell_magic)
    namespace.update(__builtins__=__builtins__, __name__='__main__', display=display, exit=leave, quit=leave)
    os.environ.setdefault('MPLBACKEND', 'Agg')
    sys.meta_path.append(Notebook())
    sys.path.insert(0, '')
    sys.argv = ['']
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, ignore)
    while True:
        try:
            line = requests.readline()
            if not line: return
            attend(json.loads(line))
        except KeyboardInterrupt: pass
        except KernelExit as end: sys.exit(*end.args)
        tell(done=True)


serve()
