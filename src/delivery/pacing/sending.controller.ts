import { Body, Controller, Get, Post, Put, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { Keepers } from '../../subscribers/keepers.service.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import {
  confirmBody,
  confirmResponse,
  estimateQuery,
  estimateResponse,
  forgottenKeepers,
  sendingSettings,
  sendingState,
  type SendingSettings,
} from './sending.schemas.js';
import { SendingService } from './sending.service.js';
import { SendingSettingsService } from './sending-settings.service.js';

@Controller('api/v1/sending')
export class SendingController {
  constructor(
    private readonly settings: SendingSettingsService,
    private readonly sending: SendingService,
    private readonly guard: GenerationGuard,
    private readonly keepers: Keepers,
  ) {}

  @Get()
  @ApiRoute({ summary: 'Read the limits of sending', tag: 'sending', response: sendingSettings })
  async read(): Promise<unknown> {
    return this.settings.read();
  }

  @Put()
  @ApiRoute({
    summary: 'Set the limits of sending',
    description:
      'Takes the place of all limits: one that is left out is gone. Obeyed by all workers within a second.',
    tag: 'sending',
    response: sendingSettings,
    idempotent: false,
    example: {
      global: { perSecond: 20 },
      senders: { 'news.example.com': { perDay: 5000, warmUp: { startedOn: '2026-03-02' } } },
      groups: { gmail: { perSecond: 5 } },
      overdue: { policy: 'ask', afterHours: 24 },
    },
  })
  async replace(@Body({ schema: sendingSettings }) body: SendingSettings): Promise<unknown> {
    await this.settings.replace(body);
    return this.settings.read();
  }

  @Get('state')
  @ApiRoute({
    summary: 'Read how sending stands',
    description: 'Limits with what is left of them, relays, and the mails that wait for your decision.',
    tag: 'sending',
    response: sendingState,
  })
  async state(): Promise<unknown> {
    return this.sending.state();
  }

  @Get('estimate')
  @ApiRoute({
    summary: 'Estimate when the mails that wait will have gone out',
    description:
      'At the present limits and rates. `limitedBy` names the limit that decides; `completesAt` is null while nothing can go, which `limitedBy` then says, or nothing was sent that would tell. Of a broadcast, what is written so far; its own report counts also what is still to be written.',
    tag: 'sending',
    response: estimateResponse,
  })
  async estimate(
    @Query({ schema: estimateQuery }) { broadcastId }: z.output<typeof estimateQuery>,
  ): Promise<unknown> {
    return this.sending.estimate(broadcastId ?? null);
  }

  @Post('confirm')
  @ApiRoute({
    summary: 'Confirm that this database is the one to send from',
    description:
      'After a restored backup, a copied database or a failover nothing is sent until you say so. `hold` keeps what may have gone out already until you release or cancel it; what was on its way becomes `unknown`.',
    tag: 'sending',
    response: confirmResponse,
    status: 200,
    idempotent: false,
    example: { unsent: 'hold' },
  })
  async confirm(@Body({ schema: confirmBody }) { unsent }: z.output<typeof confirmBody>): Promise<unknown> {
    return this.guard.confirm(unsent);
  }

  @Post('silent-keepers/forget')
  @ApiRoute({
    summary: 'Go on without processes that are gone for good',
    description:
      'Those of `silentKeepers` of the state. Whoever left there by a link while the database was away, and is not known to it, gets mails on; a process that lives after all is waited for again.',
    tag: 'sending',
    response: forgottenKeepers,
    status: 200,
    idempotent: false,
  })
  async forgetKeepers(): Promise<unknown> {
    return { forgotten: await this.keepers.forgetSilent() };
  }
}
