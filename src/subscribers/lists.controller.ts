import { Body, Controller, Delete, Get, Headers, Param, Patch, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { idSchema, type Page, pageOf, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import { ListsService, type SubscriberList } from './lists.service.js';
import { objectKey } from './subscribers.schemas.js';

const title = z.string().trim().min(1).max(200);
const description = z.string().trim().max(2000);
const isPublic = z
  .boolean()
  .meta({ description: 'People see it on the page of their preferences, and may join and leave it there.' });

const listSchema = z
  .object({
    id: z.string(),
    key: z.string(),
    title: z.string(),
    description: z.string(),
    isPublic,
    subscribers: z.number().int(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'List' });

export const createList = z.strictObject({
  key: objectKey,
  title,
  description: description.default(''),
  isPublic: isPublic.default(false),
});
export const updateList = z
  .strictObject({
    title: title.optional(),
    description: description.optional(),
    isPublic: isPublic.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'name title, description or isPublic');
const addMember = z.strictObject({ subscriberId: idSchema });

type ListJson = z.output<typeof listSchema>;

/** Less how many are on it, which moves by itself. */
const written = (list: ListJson): unknown => ({ ...list, subscribers: null });

@Controller('api/v1/lists')
export class ListsController {
  constructor(private readonly lists: ListsService) {}

  @Get()
  @ApiRoute({ summary: 'List the lists', tag: 'lists', response: pageOf(listSchema) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<Page<ListJson>> {
    return toPage(await this.lists.page(cursor, limit + 1), limit, listJson);
  }

  @Get(':id')
  @ApiRoute({
    summary: 'One list',
    tag: 'lists',
    response: listSchema,
    etag: written,
    errors: ['LIST_NOT_FOUND'],
  })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<ListJson> {
    return listJson(await this.lists.get(id));
  }

  @Post()
  @ApiRoute({
    summary: 'Make a list',
    tag: 'lists',
    response: listSchema,
    example: { key: 'newsletter', title: 'Newsletter', description: 'Every other Thursday.', isPublic: true },
    errors: ['LIST_ALREADY_EXISTS'],
  })
  async create(@Body({ schema: createList }) body: z.output<typeof createList>): Promise<ListJson> {
    return listJson(await this.lists.create(body));
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Change a list',
    tag: 'lists',
    response: listSchema,
    etag: written,
    ifMatch: true,
    example: { isPublic: false },
    errors: ['LIST_NOT_FOUND'],
  })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateList }) body: z.output<typeof updateList>,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<ListJson> {
    return listJson(await this.lists.update(id, body, unchangedSince(ifMatch, writtenOf)));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Remove a list',
    description: 'Who was on it stays. Refused while a segment or a broadcast under way asks for it.',
    tag: 'lists',
    response: null,
    ifMatch: true,
    errors: ['LIST_NOT_FOUND', 'LIST_IN_USE_CONFLICT'],
  })
  async removeList(
    @Param('id', { schema: idSchema }) id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.lists.removeList(id, unchangedSince(ifMatch, writtenOf));
  }

  @Post(':id/subscribers')
  @ApiRoute({
    summary: 'Put a subscriber on a list',
    tag: 'lists',
    response: listSchema,
    status: 200,
    example: { subscriberId: '42' },
    errors: ['LIST_NOT_FOUND', 'SUBSCRIBER_NOT_FOUND'],
  })
  async add(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: addMember }) { subscriberId }: z.output<typeof addMember>,
  ): Promise<ListJson> {
    await this.lists.add(id, subscriberId);
    return listJson(await this.lists.get(id));
  }

  @Delete(':id/subscribers/:subscriberId')
  @ApiRoute({
    summary: 'Take a subscriber off a list',
    tag: 'lists',
    response: listSchema,
    status: 200,
    errors: ['LIST_NOT_FOUND'],
  })
  async remove(
    @Param('id', { schema: idSchema }) id: string,
    @Param('subscriberId', { schema: idSchema }) subscriberId: string,
  ): Promise<ListJson> {
    await this.lists.remove(id, subscriberId);
    return listJson(await this.lists.get(id));
  }
}

function listJson({ createdAt, ...list }: SubscriberList): ListJson {
  return { ...list, createdAt: createdAt.toISOString() };
}

function writtenOf(list: SubscriberList): unknown {
  return written(listJson(list));
}
