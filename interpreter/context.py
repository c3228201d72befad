"""
One code context: it keeps a kernel, gives it one execution after the other, and tells what comes of each.

It runs as root, so that code, which runs as another user, does not end it by accident. It reads lines of JSON:

  {"id", "part"}   a piece of the code of an execution
  {"id", "run"}    all of it has come, with these variables: it runs when those before it are done
  {"id", "stop"}   nobody waits for it any more

and writes lines of JSON, each with the id of its execution: `started` with its number, `stdout`, `stderr`, `result`,
`error`, and `end` as the last. A kernel is a process with a socket at descriptor 3, from which it reads one line of JSON
per execution, and to which it writes lines with `result`, `error` and `done`. Nothing that it writes is trusted.

Arguments: settings as JSON, and the kernel's command.
"""
import codecs, collections, fcntl, json, os, pwd, select, signal, socket, sys, time, warnings

SETTINGS, KERNEL = json.loads(sys.argv[1]), sys.argv[2:]
USER = SETTINGS['user']
# Lines that a shell is given at its start, with nothing to complain to but descriptor 4; other kernels read no input.
PRELUDE = SETTINGS.get('prelude')
MAX_LINE_BYTES, MAX_TOLD, MAX_CODE = SETTINGS['maxLineBytes'], SETTINGS['maxTold'], SETTINGS['maxCode']
MAX_WAITING = SETTINGS['maxWaiting']
# What goes on although it was interrupted is ended after so long, if another execution waits for its turn.
PATIENCE_SECONDS = SETTINGS['patienceSeconds']
INTERRUPT_EVERY_SECONDS = 1
# A kernel that has closed its socket is about to end, or of no use.
CLOSED_SECONDS = 0.5
# While so much waits to be written, the kernel has to wait too.
MAX_OUTBOX_BYTES = 1 << 20
PIECE_BYTES = 1 << 16
FIRST_FREE_FD = 10
RESULT_FIELDS = ('text', 'html', 'markdown', 'svg', 'png', 'jpeg', 'pdf', 'latex', 'json', 'javascript')


class Execution:
    def __init__(self, id):
        self.id, self.parts, self.size, self.env = id, [], 0, {}
        self.told, self.is_cut = 0, False
        self.stopped_at, self.interrupted_at = None, None


class Kernel:
    """The process that runs code, with our ends of what connects us."""

    def __init__(self):
        self.control, control = socket.socketpair()
        out, err, commands = os.pipe(), os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0: become_kernel([commands[0], out[1], err[1], control.fileno()])
        control.close()
        for fd in (commands[0], out[1], err[1]): os.close(fd)
        self.control.setblocking(False)
        self.commands = commands[1]
        self.outputs = {out[0]: 'stdout', err[0]: 'stderr'}
        self.decoders = {fd: codecs.getincrementaldecoder('utf-8')('replace') for fd in self.outputs}
        for fd in (self.commands, *self.outputs): os.set_blocking(fd, False)
        self.unsent, self.line, self.skips_line = b'', bytearray(), False
        self.closed_at, self.fault = None, None

    def signal(self, number):
        try: os.killpg(self.pid, number) if number == signal.SIGINT else os.kill(self.pid, number)
        except OSError: pass

    def end(self, fault):
        self.fault = fault
        self.signal(signal.SIGKILL)

    def let_go(self):
        self.control.close()
        for fd in (self.commands, *self.outputs): os.close(fd)


def become_kernel(fds):
    """In the child. Takes the descriptors 0 to 3, a session of its own and another user; never returns."""
    try:
        os.setsid()
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST_FREE_FD) for fd in fds]
        nothing = fcntl.fcntl(os.open('/dev/null', os.O_RDWR), fcntl.F_DUPFD, FIRST_FREE_FD)
        commands, out, err, control = fds
        fds = [nothing, out, err, control] if PRELUDE is None else [commands, out, nothing, control, err]
        for number, fd in enumerate(fds): os.dup2(fd, number)
        os.closerange(len(fds), 256)
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT): signal.signal(number, signal.SIG_DFL)
        person = pwd.getpwnam(USER)
        os.initgroups(USER, person.pw_gid)
        os.setgid(person.pw_gid)
        os.setuid(person.pw_uid)
        os.execvp(KERNEL[0], KERNEL)
    except BaseException as error:
        os.write(2, f'The kernel could not be started: {error}\n'.encode())
    finally:
        os._exit(127)


class Context:
    def __init__(self):
        self.incoming, self.waiting = collections.OrderedDict(), collections.deque()
        self.current, self.kernel = None, None
        self.count, self.lost = 0, None
        self.outbox = bytearray()

    def say(self, execution, type, **fields):
        """In ASCII: the stock client cuts what it reads anywhere, also within a character."""
        self.outbox += json.dumps({'id': execution.id, 'type': type, **fields}).encode() + b'\n'

    def tell(self, type, **fields):
        """To whoever waits for the current execution, as long as it has not told too much."""
        execution = self.current
        if execution is None or execution.is_cut: return
        execution.told += sum(len(text) for text in fields.values() if isinstance(text, str))
        execution.is_cut = execution.told > MAX_TOLD
        if execution.is_cut: return self.say(execution, 'stderr', text=f'\n[Beyond {MAX_TOLD >> 20} MiB, output is left out]\n')
        self.say(execution, type, **fields)

    def refuse(self, execution, name, value):
        self.say(execution, 'error', name=name, value=value, traceback=f'{name}: {value}')
        self.say(execution, 'end')

    # What is asked of us

    def take_request(self, line):
        try: request = json.loads(line)
        except ValueError: return
        id = request['id']
        if 'part' in request: self.take_part(id, request['part'])
        elif 'run' in request: self.queue(self.incoming.pop(id, None) or Execution(id), request['run'])
        else: self.stop(id)

    def take_part(self, id, part):
        execution = self.incoming.setdefault(id, Execution(id))
        execution.size += len(part)
        if execution.size <= MAX_CODE: execution.parts.append(part)
        # Of those whose sender went away half-way, the oldest is forgotten.
        if len(self.incoming) > MAX_WAITING: self.incoming.popitem(last=False)

    def queue(self, execution, env):
        execution.env = env
        if execution.size > MAX_CODE: return self.refuse(execution, 'CodeTooLong', f'At most {MAX_CODE} characters are run')
        if len(self.waiting) >= MAX_WAITING:
            return self.refuse(execution, 'TooManyExecutions', f'{MAX_WAITING} executions wait in this context already')
        self.waiting.append(execution)

    def stop(self, id):
        self.incoming.pop(id, None)
        for execution in [one for one in self.waiting if one.id == id]:
            self.waiting.remove(execution)
            self.say(execution, 'end')
        if self.current and self.current.id == id: self.current.stopped_at = time.monotonic()

    # One execution after the other

    def begin(self):
        if self.kernel is None:
            self.kernel = Kernel()
            if PRELUDE is not None: os.write(self.kernel.commands, PRELUDE.encode())
        self.read_outputs()  # what came while nothing ran is nobody's
        execution = self.current = self.waiting.popleft()
        self.count += 1
        self.say(execution, 'started', execution_count=self.count)
        if self.lost: self.tell('stderr', text=f'[{self.lost} This is a new one: variables are gone.]\n')
        self.lost = None
        # Pieces may have been cut within a character.
        code = ''.join(execution.parts).encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')
        self.kernel.unsent = self.for_shell(code, execution.env) if PRELUDE is not None else (
            json.dumps({'code': code, 'env': execution.env, 'count': self.count}).encode() + b'\n')

    def for_shell(self, code, env):
        """Two lines, for a shell that is interrupted in the first still reads the second; and texts that end with NUL."""
        os.write(self.kernel.commands, b'__freehold_run\n__freehold_done\n')
        texts = [code, *(text for pair in env.items() for text in pair), '']
        return b''.join(text.replace('\0', '').encode('utf-8', 'replace') + b'\0' for text in texts)

    def end(self):
        self.read_outputs()
        for fd, name in self.kernel.outputs.items():
            rest = self.kernel.decoders[fd].decode(b'', final=True)
            if rest: self.tell(name, text=rest)
        self.say(self.current, 'end')
        self.current = None

    def press(self):
        """Interrupts what is to stop, again and again, and ends what would be waited for in vain."""
        execution, now = self.current, time.monotonic()
        if self.kernel and self.kernel.closed_at and now - self.kernel.closed_at >= CLOSED_SECONDS:
            self.kernel.end('closed its connection, and was ended')
        if execution is None or execution.stopped_at is None: return
        if execution.interrupted_at is None or now - execution.interrupted_at >= INTERRUPT_EVERY_SECONDS:
            execution.interrupted_at = now
            self.kernel.signal(signal.SIGINT)
        if self.waiting and now - execution.stopped_at >= PATIENCE_SECONDS:
            self.kernel.end('went on when it was interrupted, and was ended')

    # What the kernel says

    def read_outputs(self):
        for fd in list(self.kernel.outputs):
            taken = 0
            while taken < MAX_OUTBOX_BYTES:
                piece = self.read_output(fd)
                if not piece: break
                taken += len(piece)
                text = self.kernel.decoders[fd].decode(piece)
                if text: self.tell(self.kernel.outputs[fd], text=text)

    def read_output(self, fd):
        try: piece = os.read(fd, PIECE_BYTES)
        except BlockingIOError: return None
        except OSError: piece = b''
        if not piece:
            del self.kernel.outputs[fd]
            os.close(fd)
        return piece

    def read_control(self):
        """False where nothing more is there now."""
        kernel = self.kernel
        try: piece = kernel.control.recv(PIECE_BYTES)
        except BlockingIOError: return False
        except OSError: piece = b''
        if not piece:
            kernel.closed_at = kernel.closed_at or time.monotonic()
            return False
        *ends, rest = piece.split(b'\n')
        for end in ends:
            self.lengthen_line(end)
            line, kernel.line = bytes(kernel.line), bytearray()
            if not kernel.skips_line: self.take_news(line)
            kernel.skips_line = False
        self.lengthen_line(rest)
        return True

    def lengthen_line(self, piece):
        kernel = self.kernel
        if not kernel.skips_line: kernel.line += piece
        if len(kernel.line) <= MAX_LINE_BYTES: return
        kernel.line, kernel.skips_line = bytearray(), True
        self.tell('stderr', text=f'[A result of more than {MAX_LINE_BYTES >> 20} MiB is left out]\n')

    def take_news(self, line):
        try: news = json.loads(line)
        except (ValueError, RecursionError): return
        if not isinstance(news, dict) or self.current is None: return
        self.read_outputs()
        result, error = news.get('result'), news.get('error')
        if isinstance(result, dict):
            fields = {name: result[name] for name in RESULT_FIELDS if isinstance(result.get(name), (str, dict, list))}
            if fields: self.tell('result', is_main_result=news.get('main') is True, **fields)
        if isinstance(error, list) and len(error) == 3:
            name, value, traceback = map(str, error)
            self.say(self.current, 'error', name=name, value=value, traceback=traceback)
        if 'done' in news: self.end()

    def bury(self):
        """Whoever waits for a kernel that has ended is told, and the next one as well."""
        pid, status = os.waitpid(self.kernel.pid, os.WNOHANG)
        if pid == 0: return
        while self.read_control(): pass
        code = os.waitstatus_to_exitcode(status)
        how = f'ended with exit status {code}' if code >= 0 else f'was ended by signal {-code}'
        self.lost = f'The kernel {self.kernel.fault or how}.'
        if self.current:
            self.say(self.current, 'error', name='KernelDied', value=f'{self.lost} The next execution has a new one.',
                     traceback=f'KernelDied: {self.lost}')
            self.end()
        self.kernel.let_go()
        self.kernel = None


def serve(context):
    woken, waker = os.pipe()
    for fd in (0, 1, woken, waker): os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    unread = bytearray()
    while True:
        if context.current is None and context.waiting: context.begin()
        context.press()
        for fd, events in wait(context, woken):
            if fd == 0 and not read_requests(context, unread): return
            elif fd == 1: del context.outbox[:write(1, context.outbox)]
            elif fd == woken:
                os.read(woken, PIECE_BYTES)
                if context.kernel: context.bury()
            elif context.kernel is None: continue
            elif fd in context.kernel.outputs: context.read_outputs()
            elif fd == context.kernel.control.fileno():
                if events & select.POLLOUT: send(context.kernel)
                if events & ~select.POLLOUT: context.read_control()


def wait(context, woken):
    poll = select.poll()
    for fd in (0, woken): poll.register(fd, select.POLLIN)
    if context.outbox: poll.register(1, select.POLLOUT)
    if context.kernel:
        reads = select.POLLIN if len(context.outbox) < MAX_OUTBOX_BYTES else 0
        sends = select.POLLOUT if context.kernel.unsent else 0
        if reads:
            for fd in context.kernel.outputs: poll.register(fd, reads)
        if (reads or sends) and not context.kernel.closed_at: poll.register(context.kernel.control, reads | sends)
    is_closing = context.kernel and context.kernel.closed_at
    is_stopping = context.current and context.current.stopped_at
    return poll.poll(CLOSED_SECONDS * 1000 if is_closing else INTERRUPT_EVERY_SECONDS * 1000 if is_stopping else None)


def read_requests(context, unread):
    """False at the end of the input, which is the end of the context."""
    try: piece = os.read(0, PIECE_BYTES)
    except BlockingIOError: return True
    if not piece: return False
    *lines, rest = piece.split(b'\n')
    if lines:
        lines[0] = bytes(unread) + lines[0]
        unread.clear()
    unread += rest
    for line in lines: context.take_request(line)
    return True


def write(fd, data):
    try: return os.write(fd, data[:PIECE_BYTES])
    except BlockingIOError: return 0


def send(kernel):
    try: kernel.unsent = kernel.unsent[kernel.control.send(kernel.unsent[:PIECE_BYTES]):]
    except BlockingIOError: pass
    except OSError: kernel.unsent = b''


serve(Context())
