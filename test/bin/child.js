/** What the launcher hands over to in its tests: says what it is told, and ends when it is told to. */
const [behaviour] = process.argv.slice(2);

for (const name of ['SIGTERM', 'SIGINT']) {
  process.on(name, () => {
    process.stdout.write('told to end\n');
    // Long enough for a second signal to be noticed.
    setTimeout(() => process.exit(7), 300);
  });
}
process.stdout.write(`${JSON.stringify({ pid: process.pid, args: process.argv.slice(2) })}\n`);
if (behaviour === 'exit') process.exit(3);
setInterval(() => {}, 1_000);
