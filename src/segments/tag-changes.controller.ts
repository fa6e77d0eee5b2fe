import { Body, Controller, Delete, Get, Param, Patch, Post } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema } from '../infra/http/page.js';
import { tagName, tagSchema } from '../subscribers/subscribers.schemas.js';
import type { StoredTag } from '../subscribers/tag.js';
import { TagsService } from '../subscribers/tags.service.js';
import { TagChangesService } from './tag-changes.service.js';

const renameBody = z.strictObject({ name: tagName });
const mergeBody = z.strictObject({ into: idSchema.meta({ description: 'Id of the tag that stays.' }) });

type TagJson = z.output<typeof tagSchema>;

/** Stands here and not with the list of tags, because segments follow a change of name. */
@Controller('api/v1/tags')
export class TagChangesController {
  constructor(
    private readonly tags: TagsService,
    private readonly changes: TagChangesService,
  ) {}

  @Get(':id')
  @ApiRoute({ summary: 'One tag', tag: 'tags', response: tagSchema, errors: ['TAG_NOT_FOUND'] })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<TagJson> {
    return tagJson(await this.tags.get(id));
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Rename a tag',
    description: 'Segments follow. Refused while a sequence or a broadcast under way names it.',
    tag: 'tags',
    response: tagSchema,
    example: { name: 'webinar guest' },
    errors: ['TAG_NOT_FOUND', 'TAG_ALREADY_EXISTS', 'TAG_IN_USE_CONFLICT'],
  })
  async rename(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: renameBody }) { name }: z.output<typeof renameBody>,
  ): Promise<TagJson> {
    return tagJson(await this.changes.rename(id, name));
  }

  @Post(':id/merge')
  @ApiRoute({
    summary: 'Merge a tag into another one',
    description: 'Whoever has it has the other one from then on, and it is gone. Segments follow.',
    tag: 'tags',
    response: tagSchema,
    status: 200,
    example: { into: '3' },
    errors: ['TAG_NOT_FOUND', 'TAG_MERGE_INVALID', 'TAG_IN_USE_CONFLICT'],
  })
  async merge(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: mergeBody }) { into }: z.output<typeof mergeBody>,
  ): Promise<TagJson> {
    return tagJson(await this.changes.merge(id, into));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Remove a tag from everybody',
    description: 'Refused while a segment, a broadcast under way or a sequence names it.',
    tag: 'tags',
    response: null,
    errors: ['TAG_NOT_FOUND', 'TAG_IN_USE_CONFLICT'],
  })
  async remove(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.tags.remove(id);
  }
}

function tagJson(tag: StoredTag): TagJson {
  return { ...tag, createdAt: tag.createdAt.toISOString() };
}
