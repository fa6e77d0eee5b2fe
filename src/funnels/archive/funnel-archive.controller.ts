import { Body, Controller, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import type { FunnelRow } from '../funnel-store.service.js';
import { funnelKey, funnelResponse } from '../funnels.schemas.js';
import { FunnelsService } from '../funnels.service.js';
import { FunnelArchive } from './funnel-archive.service.js';

const archiveBody = z.strictObject({
  people: z.enum(['end', 'finish']).default('end').meta({
    description:
      'What becomes of who is in its sequence. `end`: they are ended, with the reason "funnel archived", and the offers are closed. `finish`: they go on to the end, and the offers stay on sale for them; archive it once more with `end` to close these.',
  }),
});

@Controller('api/v1/funnels')
export class FunnelArchiveController {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly archives: FunnelArchive,
  ) {}

  @Post(':key/archive')
  @ApiRoute({
    summary: 'Archive a funnel',
    description:
      'Its sign-up page and forms are closed, and nobody joins its sequence. Figures, orders, downloads and memberships stay. Applying its file does not bring it back, unless it says `unarchive`.',
    tag: 'funnels',
    response: funnelResponse,
    status: 200,
    example: { people: 'finish' },
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async archive(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: archiveBody }) { people }: z.output<typeof archiveBody>,
  ): Promise<FunnelRow> {
    await this.archives.archive(key, { people, by: 'API' });
    return this.funnels.get(key);
  }

  @Post(':key/unarchive')
  @ApiRoute({
    summary: 'Bring an archived funnel back',
    description: 'As it was. Who was ended in its sequence stays so.',
    tag: 'funnels',
    response: funnelResponse,
    status: 200,
    errors: ['FUNNEL_NOT_FOUND', 'FUNNEL_UNARCHIVE_CONFLICT'],
  })
  async unarchive(@Param('key', { schema: funnelKey }) key: string): Promise<FunnelRow> {
    await this.archives.unarchive(key);
    return this.funnels.get(key);
  }
}
