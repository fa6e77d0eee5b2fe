import { Controller, HttpCode, Param, Post, Req, type RawBodyRequest } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PROVIDERS, type MailProvider } from '../values/mail-providers.js';
import { HooksService } from './hooks.service.js';

const provider = z.enum(PROVIDERS);

/** Where mail providers tell of bounces and complaints. No key, no cookie: each call carries its own proof. */
@Controller('api/public/hooks')
export class HooksController {
  constructor(private readonly hooks: HooksService) {}

  @Post(':provider')
  @HttpCode(200)
  async receive(
    @Param('provider', { schema: provider }) name: MailProvider,
    @Req() request: RawBodyRequest<FastifyRequest>,
  ): Promise<{ received: true }> {
    const { body, headers } = request;
    await this.hooks.receive(name, {
      // Amazon sends its JSON as text/plain, which leaves no raw body beside the text.
      raw: request.rawBody ?? Buffer.from(typeof body === 'string' ? body : ''),
      body,
      header: (key) => [headers[key] ?? ''].flat().join(','),
    });
    return { received: true };
  }
}
