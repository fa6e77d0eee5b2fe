import { runCommand } from './commands/wellspring.command.js';

// Set rather than exit, so that what was written to a pipe arrives whole; only a failure ends at once, whatever is open.
const code = await runCommand(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
if (code === 0) process.exitCode = code;
else process.exit(code);
