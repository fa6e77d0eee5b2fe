import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { RelaysQueries } from './relays.queries.js';
import { RelaysService } from './relays.service.js';

/** Which relays there are, which of them work, and which one takes the next mail. Owns `relay_state`. */
@Module({
  imports: [AlertsModule],
  providers: [RelaysService, RelaysQueries],
  exports: [RelaysService],
})
export class RelaysModule {}
