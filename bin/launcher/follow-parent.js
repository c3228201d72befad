/**
 * Loaded into the child that runs the server. Where its parent dies without a word (kill -9), it ends in the ordinary
 * way: nobody is left to whom it belongs, and a new start is to find its place free.
 */
const GRACE_MS = 30_000;

if (process.channel) {
  process.channel.unref();
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), GRACE_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
}
