import { Body, Controller, Get, Put } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { FrequencyCapService } from './frequency-cap.service.js';

const most = (limit: number, span: string) =>
  z
    .int({ error: `use a whole number from 1 to ${limit}, or null for no limit` })
    .min(1, `use a whole number from 1 to ${limit}, or null for no limit`)
    .max(limit, `use a whole number from 1 to ${limit}, or null for no limit`)
    .nullable()
    .default(null)
    .meta({ description: `Marketing mails in any ${span}; null is no limit.` });

const frequency = z.strictObject({ perDay: most(100, '24 hours'), perWeek: most(500, 'seven days') });

@Controller('api/v1/sending/frequency')
export class FrequencyCapController {
  constructor(private readonly caps: FrequencyCapService) {}

  @Get()
  @ApiRoute({ summary: 'Read how many mails one person gets at most', tag: 'sending', response: frequency })
  async read(): Promise<unknown> {
    return this.caps.read();
  }

  @Put()
  @ApiRoute({
    summary: 'Set how many mails one person gets at most',
    description:
      'Over all sequences and broadcasts. What is too many waits, with this as its reason; mails of a sequence or broadcast with a higher priority go first, and of the same the one that was planned first: where its hours open later, newer ones leave it that place. When you let more through, what waits is looked at again within a minute. Receipts and confirmations do not count.',
    tag: 'sending',
    response: frequency,
    idempotent: false,
    example: { perDay: 1, perWeek: 4 },
  })
  async set(@Body({ schema: frequency }) cap: z.output<typeof frequency>): Promise<unknown> {
    await this.caps.set(cap);
    return this.caps.read();
  }
}
