import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { SmtpLane } from './smtp-lane.transport.js';

/** Mails on the way at the same time; after a crash at most this many are unknown. */
const LANES = 8;

/** Opens lanes to the relay. */
@Injectable()
export class SmtpLanes {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  open(): SmtpLane[] {
    return Array.from({ length: LANES }, () => new SmtpLane('default', new URL(this.config.smtpUrl)));
  }
}
