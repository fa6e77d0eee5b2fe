import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { createList, updateList } from '../../subscribers/lists.controller.js';
import { ListsService, type SubscriberList } from '../../subscribers/lists.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf, refusalOf, schemaProblems } from '../forms/form-problems.schemas.js';
import { keyOfTitle } from '../forms/own-key.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

const PAGE_ROWS = 100;
const MAX_CHARS = 3_000;
const LABELS = { title: 'Name', key: 'Key', description: 'Description' };

interface ListTyped {
  title: string;
  key: string;
  description: string;
  isPublic: boolean;
}

/** Lists: made and named here; the owner and imports put people on them, and on public ones people put themselves. */
@Controller('admin/lists')
export class ListPagesController {
  constructor(private readonly lists: ListsService) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const rows = await this.lists.page(cursorOf(cursor), PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => row);
    return new Page('lists', { lists: data, nextCursor });
  }

  @Get('new')
  blank(): Answer {
    return formPage(null, { title: '', key: '', description: '', isPublic: false });
  }

  @Post()
  async create(@Body() body: unknown): Promise<Answer> {
    const typed = typedFrom(body);
    const parsed = createList.safeParse({ ...typed, key: typed.key || keyOfTitle(typed.title) });
    if (!parsed.success) return formPage(null, typed, schemaProblems(parsed.error.issues, LABELS));
    try {
      await this.lists.create(parsed.data);
    } catch (error) {
      return formPage(null, typed, refusalOf(error, LABELS));
    }
    return new SeeOther('/admin/lists');
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<Answer> {
    const list = await this.lists.get(checkedId(id, 'list'));
    return this.showOne(list, list);
  }

  @Post(':id')
  async update(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const list = await this.lists.get(checkedId(id, 'list'));
    const { title, description, isPublic } = typedFrom(body);
    const typed = { title, description, isPublic, key: list.key };
    const parsed = updateList.safeParse({ title, description, isPublic });
    if (!parsed.success) return this.showOne(list, typed, schemaProblems(parsed.error.issues, LABELS));
    await this.lists.update(id, parsed.data);
    return new SeeOther('/admin/lists');
  }

  @Post(':id/remove')
  async remove(@Param('id') id: string): Promise<Answer> {
    const list = await this.lists.get(checkedId(id, 'list'));
    try {
      await this.lists.removeList(id);
    } catch (error) {
      return this.showOne(list, list, refusalOf(error, LABELS), 409);
    }
    return new SeeOther('/admin/lists');
  }

  private async showOne(
    list: SubscriberList,
    typed: ListTyped,
    problems: FormProblem[] = [],
    status = 422,
  ): Promise<Answer> {
    return formPage({ ...list, uses: await this.lists.usesOf(list.key) }, typed, problems, status);
  }
}

function formPage(list: object | null, typed: ListTyped, problems: FormProblem[] = [], status = 422): Answer {
  const view = { list, typed, problems, errors: messagesOf(problems) };
  return new Page('list', view, problems.length === 0 ? 200 : status);
}

function typedFrom(body: unknown): ListTyped {
  const text = typedTexts(body, MAX_CHARS);
  return {
    ...{ title: text('title'), key: text('key'), description: text('description') },
    isPublic: text('isPublic') !== '',
  };
}
