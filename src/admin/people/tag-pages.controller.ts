import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { TagChangesService } from '../../segments/tag-changes.service.js';
import { tagName } from '../../subscribers/subscribers.schemas.js';
import type { StoredTag } from '../../subscribers/tag.js';
import { BOUGHT } from '../../subscribers/tag.js';
import { TagsService } from '../../subscribers/tags.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf, refusalOf, schemaProblems } from '../forms/form-problems.schemas.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

const PAGE_ROWS = 100;
const MAX_CHARS = 200;
const LABELS = { name: 'New name', into: 'Merge into' };

interface TagTyped {
  name: string;
  /** Name of the tag that stays. */
  into: string;
}

/** Tags: how many have each, another name, two that become one, and none any more. */
@Controller('admin/tags')
export class TagPagesController {
  constructor(
    private readonly tags: TagsService,
    private readonly changes: TagChangesService,
  ) {}

  @Get()
  async list(@Query() query: unknown): Promise<Answer> {
    const text = typedTexts(query, MAX_CHARS);
    const [part, after] = [text('q'), text('after')];
    const rows = await this.tags.page(part, after, PAGE_ROWS + 1);
    const tags = rows.slice(0, PAGE_ROWS);
    const next = rows.length > PAGE_ROWS ? tags.at(-1)?.name : undefined;
    return new Page('tags', { tags: tags.map(withKind), q: part, next });
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<Answer> {
    const tag = await this.tags.get(checkedId(id, 'tag'));
    return this.showOne(tag, { name: tag.name, into: '' });
  }

  @Post(':id')
  async rename(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const tag = await this.tags.get(checkedId(id, 'tag'));
    const typed = { name: typedTexts(body, MAX_CHARS)('name'), into: '' };
    const name = tagName.safeParse(typed.name);
    if (!name.success)
      return this.showOne(
        tag,
        typed,
        schemaProblems(
          name.error.issues.map((issue) => ({ ...issue, path: ['name'] })),
          LABELS,
        ),
      );
    try {
      await this.changes.rename(id, name.data);
    } catch (error) {
      return this.showOne(tag, typed, refusalOf(error, LABELS));
    }
    return new SeeOther('/admin/tags');
  }

  @Post(':id/merge')
  async merge(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const tag = await this.tags.get(checkedId(id, 'tag'));
    const typed = { name: tag.name, into: typedTexts(body, MAX_CHARS)('into') };
    const into = await this.tags.findByName(typed.into);
    if (into === null) {
      const message = typed.into === '' ? 'choose a tag' : `there is no tag “${typed.into}”`;
      return this.showOne(tag, typed, [{ name: 'into', label: LABELS.into, message }]);
    }
    try {
      await this.changes.merge(id, into.id);
    } catch (error) {
      return this.showOne(tag, typed, refusalOf(error, LABELS));
    }
    return new SeeOther(`/admin/tags/${into.id}`);
  }

  @Post(':id/remove')
  async remove(@Param('id') id: string): Promise<Answer> {
    const tag = await this.tags.get(checkedId(id, 'tag'));
    try {
      await this.tags.remove(id);
    } catch (error) {
      return this.showOne(tag, { name: tag.name, into: '' }, refusalOf(error, LABELS));
    }
    return new SeeOther('/admin/tags');
  }

  private async showOne(tag: StoredTag, typed: TagTyped, problems: FormProblem[] = []): Promise<Answer> {
    const view = {
      ...{ tag: withKind(tag), typed, problems, errors: messagesOf(problems) },
      ...{ uses: await this.tags.usesOf(tag.name), names: await this.tags.names() },
    };
    return new Page('tag', view, problems.length === 0 ? 200 : 422);
  }
}

function withKind(tag: StoredTag): object {
  return { ...tag, isOfOrders: tag.name.startsWith(BOUGHT) };
}
