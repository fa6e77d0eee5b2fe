/** Loaded into a worker by `node --import`: its host's clock is wrong by `FAULT_CLOCK_MS`, and jumps there after `FAULT_CLOCK_AFTER_MS`. */
const RealDate = Date;
const shiftMs = Number(process.env['FAULT_CLOCK_MS'] ?? 0);
const jumpAtMs = performance.now() + Number(process.env['FAULT_CLOCK_AFTER_MS'] ?? 0);

function wrongNow(): number {
  return RealDate.now() + (performance.now() >= jumpAtMs ? shiftMs : 0);
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given: unknown[], newTarget: typeof Date) =>
    Reflect.construct(target, given.length === 0 ? [wrongNow()] : given, newTarget) as Date,
  apply: () => new RealDate(wrongNow()).toString(),
  get: (target, key, receiver) =>
    key === 'now' ? wrongNow : (Reflect.get(target, key, receiver) as unknown),
});
