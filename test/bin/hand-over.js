/** The launcher's last step alone: becomes `child.js`. */
import { runInChild } from '../../bin/launcher/runtime.js';

runInChild(process.execPath, new URL('child.js', import.meta.url).pathname, process.argv.slice(2), 'server');
