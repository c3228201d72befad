/**
 * Runs in the jail of `tree.ts`, in Python of the base image: unpacks the archive on its input to /mnt and finishes the
 * tree, so that a machine starts from it as from any other. No program of the tree is run. Once it has made the tree
 * its root directory, a link can lead nowhere else. Prints what the tree fills as JSON; exits as `tree.ts` lists.
 *
 * Arguments: the most files, the most bytes.
 */
export const FINISH_PROGRAM = `
import os, re, stat, subprocess, sys
MAX_FILES, MAX_BYTES = int(sys.argv[1]), int(sys.argv[2])
TOO_MANY, TOO_LARGE, NO_SHELL, NOT_UNPACKED, IN_THE_WAY = 70, 71, 72, 73, 74
USER, UID = b'user', 1000

# Counts as it goes, so that what is too much never comes to lie on the disk; told twice to, tar also names the
# directories that it makes on the way. A name's line feeds are escaped.
tar = subprocess.Popen(
    ['tar', '--extract', '--verbose', '--verbose', '--same-permissions', '--same-owner', '--delay-directory-restore',
     '--numeric-owner', '--xattrs', '--xattrs-include=security.capability', '--xattrs-include=user.*',
     '--quoting-style=escape', '--no-overwrite-dir', '--directory', '/mnt', '--file', '-'],
    stdout=subprocess.PIPE, bufsize=65536)
files = 0
for line in tar.stdout:
    files += 1
    if files > MAX_FILES or line[:1] in b'bc':
        tar.kill()
        sys.exit(TOO_MANY if files > MAX_FILES else NOT_UNPACKED)
if tar.wait() != 0:
    sys.exit(NOT_UNPACKED)

bytes_used = files = 0
seen = set()

def refuse(error): sys.exit(NOT_UNPACKED)

# A path that is too long for the kernel is one for whoever has to do with the tree later, too.
try:
    for directory, names, others in os.walk(b'/mnt', followlinks=False, onerror=refuse):
        for name in names + others:
            info = os.lstat(os.path.join(directory, name))
            files += 1
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                if info.st_ino in seen: continue
                seen.add(info.st_ino)
            bytes_used += info.st_blocks * 512
except (OSError, RecursionError) as error: refuse(error)
if files > MAX_FILES: sys.exit(TOO_MANY)
if bytes_used > MAX_BYTES: sys.exit(TOO_LARGE)

os.chroot(b'/mnt')
os.chdir(b'/')
os.umask(0o022)

def mode_of(path):
    try: return os.lstat(path).st_mode
    except FileNotFoundError: return None

def remove(path):
    mode = mode_of(path)
    if mode is None: return
    if not stat.S_ISDIR(mode): return os.unlink(path)
    for name in os.listdir(path): remove(os.path.join(path, name))
    os.rmdir(path)

# A directory of its own, not a link to one: the machine's mounts go on it.
def own_directory(path, mode=0o755, uid=0):
    found = mode_of(path)
    if found is not None and stat.S_ISLNK(found): os.unlink(path)
    elif found is not None and not stat.S_ISDIR(found): sys.exit(IN_THE_WAY)
    if found is None or stat.S_ISLNK(found):
        os.mkdir(path)
        os.chown(path, uid, uid)
        os.chmod(path, mode)

def read(path):
    try:
        with open(path, 'rb') as file: return file.read(1 << 20)
    except OSError: return b''

def write(path, content, mode=0o644):
    remove(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), 'wb') as file: file.write(content)
    os.chmod(path, mode)

os.chmod('/', 0o755)
for path in (b'/dev', b'/proc', b'/sys', b'/run', b'/etc', b'/home', b'/var'): own_directory(path)
own_directory(b'/root', 0o700)
own_directory(b'/tmp', 0o1777)
own_directory(b'/var/tmp', 0o1777)
os.chmod(b'/tmp', 0o1777)
os.chmod(b'/var/tmp', 0o1777)
remove(b'/.freehold')
for name in os.listdir(b'/dev'): remove(b'/dev/' + name)

# Of this host, of the builder, or shared by every machine of the image.
for name in (b'hostname', b'hosts', b'machine-id', b'resolv.conf'): remove(b'/etc/' + name)
if stat.S_ISDIR(mode_of(b'/etc/ssh') or 0):
    for name in os.listdir(b'/etc/ssh'):
        if name.startswith(b'ssh_host_'): remove(b'/etc/ssh/' + name)

def is_program(path):
    try: return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError: return False

if not is_program(b'/bin/sh'): sys.exit(NO_SHELL)
if not is_program(b'/bin/bash'):
    write(b'/bin/bash', b'#!/bin/sh\\nexec /bin/sh "$@"\\n', 0o755)

def lines_of(path, fields):
    return [line for line in read(path).split(b'\\n') if line.count(b':') >= fields]

groups = lines_of(b'/etc/group', 3)
people = lines_of(b'/etc/passwd', 6)
names = lambda lines: [line.split(b':')[0] for line in lines]
if b'root' not in names(groups): groups.insert(0, b'root:x:0:')
if b'root' not in names(people): people.insert(0, b'root:x:0:0:root:/root:/bin/bash')
if USER not in names(people):
    gid = UID
    if USER in names(groups): gid = int(next(line for line in groups if line.startswith(USER + b':')).split(b':')[2])
    else: groups.insert(1, b'user:x:1000:')
    # Before others of the same number, so that it is the name that the machine knows it by.
    people.insert(1, b'user:x:1000:%d::/home/user:/bin/bash' % gid)
    own_directory(b'/home/user', 0o755, UID)
    os.chown(b'/home/user', UID, gid)
write(b'/etc/group', b'\\n'.join(groups) + b'\\n')
write(b'/etc/passwd', b'\\n'.join(people) + b'\\n')
print('{"bytes": %d, "files": %d}' % (bytes_used, files))
`;
