import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Job } from '../../../../src/infra/jobs/job.js';
import { JobRegistry } from '../../../../src/infra/jobs/job-registry.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { FixedClock } from '../../../support/clock.js';
import { aborted, JobRuns } from '../../../support/job-runs.js';

const NAME = 'test.count-runs';

function runnerOf(values: Partial<Job> & Pick<Job, 'run'>) {
  const lines: string[] = [];
  const registry = new JobRegistry();
  registry.add({ name: NAME, everySeconds: 1, lockSeconds: 60, ...values });
  const clock = new FixedClock('2026-03-02T09:00:00Z');
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  return { runner: new JobRunner(registry, clock, logger), lines };
}

function gate(): { open: () => void; opened: Promise<void> } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe('job runner', () => {
  it('answers all calls made during a run with one further run, and never runs two at once', async () => {
    const [runs, { open, opened }] = [new JobRuns(), gate()];
    const { runner } = runnerOf({ run: () => runs.during(() => opened) });
    const first = runner.run(NAME);
    await runs.reach(1);
    const later = Array.from({ length: 20 }, () => runner.run(NAME));
    open();
    expect(await Promise.all([first, ...later])).toEqual(Array(21).fill('done'));
    expect([runs.count, runs.mostAtOnce]).toEqual([2, 1]);
  });

  it('lets a job wake itself without running beside itself', async () => {
    const runs = new JobRuns();
    let again: Promise<unknown> = Promise.resolve();
    const { runner } = runnerOf({
      run: () =>
        runs.during(async () => {
          if (runs.count === 1) again = runner.run(NAME);
        }),
    });
    await runner.run(NAME);
    await again;
    expect([runs.count, runs.mostAtOnce]).toEqual([2, 1]);
  });

  it('gives a deadline of 40 % of the lock, by the injected clock', async () => {
    let deadline = 0;
    const { runner } = runnerOf({
      run: async (context) => {
        deadline = context.deadline;
      },
    });
    await runner.run(NAME);
    expect(new Date(deadline).toISOString()).toBe('2026-03-02T09:00:24.000Z');
  });

  it('aborts the signal at the deadline', async () => {
    const { runner } = runnerOf({ lockSeconds: 0.05, run: ({ signal }) => aborted(signal) });
    expect(await runner.run(NAME)).toBe('done');
  });

  it('logs code and message of a failure, never the row or the parameters', async () => {
    const failure = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (email)=(ada@example.com) already exists.',
      parameters: ['ada@example.com'],
    });
    const { runner, lines } = runnerOf({ run: () => Promise.reject(failure) });
    expect(await runner.run(NAME)).toBe('failed');
    expect(JSON.parse(lines.join(''))).toMatchObject({
      job: NAME,
      error: { code: '23505', message: 'duplicate key' },
    });
    expect(lines.join('')).not.toContain('ada@example.com');
    expect(runner.statistics().get(NAME)).toMatchObject({ runs: 1, failures: 1 });
  });

  it('begins nothing after drain, not even the run that was already asked for', async () => {
    const runs = new JobRuns();
    const { runner } = runnerOf({ run: ({ signal }) => runs.during(() => aborted(signal)) });
    const first = runner.run(NAME);
    await runs.reach(1);
    const next = runner.run(NAME);
    expect(await runner.drain(1000)).toEqual([]);
    expect(await Promise.all([first, next, runner.run(NAME)])).toEqual(['done', 'refused', 'refused']);
    expect(runs.count).toBe(1);
  });

  it('refuses names nobody has registered', async () => {
    const { runner } = runnerOf({ run: async () => {} });
    expect(await runner.run('test.other-job')).toBe('refused');
  });
});

describe('job registry', () => {
  const job: Job = { name: NAME, everySeconds: 1, lockSeconds: 60, run: async () => {} };

  it.each([
    ['a second job of one name', job, /two jobs are called/],
    ['a name of another form', { ...job, name: 'CountRuns' }, /module\.verb-noun/],
    ['a period of 0', { ...job, name: 'test.zero-period', everySeconds: 0 }, /everySeconds/],
    ['a lock beyond a day', { ...job, name: 'test.long-lock', lockSeconds: 86_401 }, /lockSeconds/],
  ])('refuses %s', (_title, wrong, message) => {
    const registry = new JobRegistry();
    registry.add(job);
    expect(() => registry.add(wrong)).toThrow(message);
  });

  it('refuses a job that comes after the start, since it would never run', () => {
    const registry = new JobRegistry();
    registry.close();
    expect(() => registry.add(job)).toThrow(/after the scheduler had started/);
  });
});
