import { Controller, Get, Param } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { OrdersService } from './orders.service.js';

const MAX_TYPED_CHARS = 64;
const typedKey = z.string().max(MAX_TYPED_CHARS, `at most ${MAX_TYPED_CHARS} characters`);

const licenceResponse = z.object({
  key: z.string(),
  isValid: z.boolean().meta({ description: 'False once the order was refunded.' }),
  productKey: z.string(),
  orderId: z.string(),
  issuedAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
});

/** For the software that was sold: whether a key that somebody typed into it may be used. */
@Controller('api/v1/licences')
export class LicencesController {
  constructor(private readonly orders: OrdersService) {}

  @Get(':key')
  @ApiRoute({
    summary: 'Check a licence key',
    description: 'As it was typed: in any case, with or without hyphens, O for 0 and I or L for 1.',
    tag: 'licences',
    response: licenceResponse,
    errors: ['LICENCE_NOT_FOUND', 'LICENCE_INVALID'],
  })
  async get(@Param('key', { schema: typedKey }) typed: string): Promise<z.infer<typeof licenceResponse>> {
    const { issuedAt, revokedAt, ...licence } = await this.orders.licence(typed);
    return {
      ...licence,
      isValid: revokedAt === null,
      issuedAt: issuedAt.toISOString(),
      revokedAt: revokedAt?.toISOString() ?? null,
    };
  }
}
