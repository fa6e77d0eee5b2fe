import { Body, Controller, Delete, Param, Put } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { bpsToText, moneyToText } from '../../values/money.js';
import { FunnelObjectsService } from './funnel-objects.service.js';
import type { FunnelPlan } from '../funnels.service.js';
import {
  APPLY_ERRORS,
  formBody,
  funnelKey,
  offerBody,
  planResponse,
  productBody,
  sequenceBody,
  type ChangeBody,
} from '../funnels.schemas.js';

const APPLIES = 'Changes its funnel as applying a file does: checked as a whole, kept as a version.';

/** The objects of funnels, written one by one. */
@Controller('api/v1')
export class FunnelObjectsController {
  constructor(private readonly objects: FunnelObjectsService) {}

  @Put('products/:key')
  @ApiRoute({
    summary: 'Make or replace a product',
    description: APPLIES,
    tag: 'products',
    response: planResponse,
    example: {
      funnel: 'niche-ebook',
      name: 'Niche Launch Kit',
      price: { amountMinor: 4900, currency: 'EUR' },
      delivers: ['files/launch-kit.zip'],
      licence: true,
    },
    errors: ['FUNNEL_NOT_FOUND', ...APPLY_ERRORS],
  })
  async product(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: productBody }) body: z.output<typeof productBody>,
  ): Promise<unknown> {
    const { funnel, change, fields } = partsOf(body);
    const object = {
      list: 'products',
      key,
      fields: { ...fields, price: moneyToText(fields.price) },
    } as const;
    return answered(change, await this.objects.put(funnel, object, change));
  }

  @Delete('products/:key')
  @ApiRoute({
    summary: 'Take a product out of its funnel',
    description: 'What was bought is still delivered.',
    tag: 'products',
    response: planResponse,
    status: 200,
    errors: ['PRODUCT_NOT_FOUND', ...APPLY_ERRORS],
  })
  async removeProduct(@Param('key', { schema: funnelKey }) key: string): Promise<unknown> {
    return answered({ dryRun: false }, await this.objects.remove('products', key));
  }

  @Put('offers/:slug')
  @ApiRoute({
    summary: 'Make or replace an offer',
    description: APPLIES,
    tag: 'offers',
    response: planResponse,
    example: { funnel: 'niche-ebook', product: 'launch-kit', discountBps: 3000, bump: 'checklist' },
    errors: ['FUNNEL_NOT_FOUND', ...APPLY_ERRORS],
  })
  async offer(
    @Param('slug', { schema: funnelKey }) key: string,
    @Body({ schema: offerBody }) body: z.output<typeof offerBody>,
  ): Promise<unknown> {
    const { funnel, change, fields } = partsOf(body);
    const { discountBps, ...rest } = fields;
    const discount = discountBps === 0 ? {} : { discount: bpsToText(discountBps) };
    const object = { list: 'offers', key, fields: { ...rest, ...discount } } as const;
    return answered(change, await this.objects.put(funnel, object, change));
  }

  @Delete('offers/:slug')
  @ApiRoute({
    summary: 'Take an offer out of its funnel',
    description: 'Its orders stay.',
    tag: 'offers',
    response: planResponse,
    status: 200,
    errors: ['OFFER_NOT_FOUND', ...APPLY_ERRORS],
  })
  async removeOffer(@Param('slug', { schema: funnelKey }) key: string): Promise<unknown> {
    return answered({ dryRun: false }, await this.objects.remove('offers', key));
  }

  @Put('forms/:slug')
  @ApiRoute({
    summary: 'Replace the form of a funnel',
    description: `${APPLIES} A funnel has one form; another slug is another address.`,
    tag: 'forms',
    response: planResponse,
    example: {
      funnel: 'niche-ebook',
      headline: '75 niches that pay',
      consent: 'Send me the guide and weekly tips.',
      leadMagnet: 'files/75-niches.pdf',
    },
    errors: ['FUNNEL_NOT_FOUND', ...APPLY_ERRORS],
  })
  async form(
    @Param('slug', { schema: funnelKey }) slug: string,
    @Body({ schema: formBody }) body: z.output<typeof formBody>,
  ): Promise<unknown> {
    const { funnel, change, fields } = partsOf(body);
    return answered(change, await this.objects.putPart(funnel, 'form', { slug, ...fields }, change));
  }

  @Put('sequences/:id')
  @ApiRoute({
    summary: 'Replace the sequence of a funnel',
    description: `${APPLIES} The key is that of the funnel.`,
    tag: 'sequences',
    response: planResponse,
    example: {
      sequence: {
        steps: [
          { key: 'welcome', email: 'emails/welcome' },
          { key: 'story', email: 'emails/story', delay: '2 days', at: '09:30' },
        ],
      },
      dryRun: true,
    },
    errors: ['FUNNEL_NOT_FOUND', ...APPLY_ERRORS],
  })
  async sequence(
    @Param('id', { schema: funnelKey.meta({ description: 'Key of the funnel.' }) }) funnel: string,
    @Body({ schema: sequenceBody }) body: z.output<typeof sequenceBody>,
  ): Promise<unknown> {
    const { change, fields } = partsOf({ funnel, ...body });
    return answered(change, await this.objects.putPart(funnel, 'sequence', fields.sequence, change));
  }
}

/** A body, parted into whose object it is, how the change is made, and what the object says. */
function partsOf<Body extends ChangeBody & { funnel: string }>({
  funnel,
  dryRun,
  movePeople: move,
  plan: tokens,
  ...fields
}: Body): {
  funnel: string;
  change: { dryRun: boolean; move: ChangeBody['movePeople']; tokens: ChangeBody['plan'] };
  fields: Omit<Body, 'funnel' | keyof ChangeBody>;
} {
  return { funnel, change: { dryRun, move, tokens }, fields };
}

function answered({ dryRun }: { dryRun: boolean }, plan: FunnelPlan): FunnelPlan & { applied: boolean } {
  return { ...plan, applied: !dryRun };
}
