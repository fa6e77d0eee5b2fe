import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Keepers, type SilentKeeper } from '../../subscribers/keepers.service.js';
import { KeptLeavings } from '../../subscribers/kept-leavings.service.js';
import { LEAVINGS_SILENT, LeavingsAlerts } from '../../subscribers/leavings-alerts.service.js';

/** What a worker looks at before it sends anything: who has left may not be known to the ledger yet. */
@Injectable()
export class BeforeSending {
  constructor(
    private readonly leavings: KeptLeavings,
    private readonly keepers: Keepers,
    private readonly said: LeavingsAlerts,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What it finds claim and barrier decide by. */
  async look(): Promise<void> {
    await this.leavings.takeUp();
    await this.awaitKeepers();
  }

  /** Those that say nothing: the hour for which mails wait for them goes on, and the owner is told. */
  async awaitKeepers(): Promise<void> {
    const silent = await this.keepers.wait(this.clock.now());
    await this.said.say(LEAVINGS_SILENT, silent.length === 0 ? null : isSilent(silent));
  }
}

function isSilent(keepers: readonly SilentKeeper[]): string {
  const waits = keepers.some(({ until }) => until !== null);
  const places = keepers.map(({ place }) => place).join(', ');
  const meanwhile = waits
    ? 'Mails of lists wait for it, for an hour at most'
    : 'Mails of lists go on without it: whoever left there is not known, and gets them';
  return (
    'A process that answers requests has not said for a while that all readers who left by a link are known to the database: it has ' +
    `ended without a word, cannot reach the database, or cannot read its folder, which its log says. Its folder: ${places}. ` +
    `${meanwhile}. Start it again on that folder, which ends this. If it is gone for good, say so on the page Sending; ` +
    'else this ends by itself after a week.'
  );
}
