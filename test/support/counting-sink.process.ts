import { CountingSink, type SinkOptions } from './counting-sink.js';

/**
 * The counting sink in a process of its own, so that what is measured does not share its event loop. The parent sends
 * the options; the answer is the port. `report` asks for what was taken. Ends with its parent.
 */
let sink: CountingSink | null = null;

process.on('message', (message: { options: SinkOptions } | 'report') => {
  if (message === 'report') {
    process.send?.({ taken: [...(sink?.taken ?? [])], total: sink?.takenTotal ?? 0 });
    return;
  }
  sink = new CountingSink(message.options);
  void sink.listen().then((port) => process.send?.({ port }));
});
process.on('disconnect', () => process.exit(0));
