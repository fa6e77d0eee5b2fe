import { Body, Controller, Get, Header, HttpCode, Param, Post, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { SegmentsService } from '../../segments/segments.service.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { keyOfTitle } from '../forms/own-key.js';
import { SegmentCheck } from './segment-check.service.js';
import {
  afterEdit,
  EMPTY_LEAF,
  type SegmentTyped,
  segmentTypedFrom,
  typedOfSegment,
} from './segment-form.js';
import { knownNames } from './segment-pages.queries.js';
import type { SegmentProblem } from './segment-problems.js';
import { fieldChoices, treeView } from './segment-view.js';
import { conditionInWords } from './segment-words.js';
import { typedTexts } from '../forms/typed-text.js';

const PAGE_ROWS = 50;

interface Shown {
  /** Null for one that is not kept yet. */
  id: string | null;
  status: number;
  typed: SegmentTyped;
  problems: SegmentProblem[];
  count: number | null;
}

interface Counted {
  count: number | null;
  /** What keeps it from being counted: the first of what is wrong. */
  problem?: string;
}

/** Segments for the owner: who belongs to them now, and the conditions as a form. */
@Controller('admin/segments')
export class SegmentPagesController {
  constructor(
    private readonly segments: SegmentsService,
    private readonly fields: FieldsService,
    private readonly check: SegmentCheck,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const beforeId = cursorOf(cursor);
    const rows = await this.segments.page(beforeId, PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, ({ id, key, title, conditions }) => ({
      ...{ id, key, title, words: conditionInWords(conditions) },
    }));
    return new Page('segments', { segments: data, nextCursor });
  }

  @Get('new')
  async blank(): Promise<Answer> {
    const typed: SegmentTyped = { title: '', root: { match: 'all', parts: [EMPTY_LEAF] } };
    return this.show({ id: null, status: 200, typed, problems: [], count: null });
  }

  @Get(':id')
  async edit(@Param('id') id: string): Promise<Answer> {
    const { title, conditions } = await this.segments.get(checkedId(id, 'segment'));
    const count = await this.segments.count(conditions);
    const typed = typedOfSegment(title, conditions);
    return this.show({ id, status: 200, typed, problems: [], count });
  }

  /** For the number that a page fills in after it has been shown. */
  @Get(':id/count')
  @Header('cache-control', 'no-store')
  async count(@Param('id') id: string): Promise<Counted> {
    const { conditions } = await this.segments.get(checkedId(id, 'segment'));
    return { count: await this.segments.count(conditions) };
  }

  /** What the conditions in the form would hold, while it is being typed. */
  @Post('count')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  async preview(@Body() body: unknown): Promise<Counted> {
    const checked = await this.check.of(segmentTypedFrom(body));
    if (checked.ok) return { count: await this.segments.count(checked.conditions) };
    const [first] = checked.problems;
    return { count: null, problem: first === undefined ? '' : problemText(first) };
  }

  @Post()
  async create(@Body() body: unknown): Promise<Answer> {
    return this.save(null, body);
  }

  @Post(':id')
  async update(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    return this.save(checkedId(id, 'segment'), body);
  }

  @Post(':id/remove')
  async remove(@Param('id') id: string): Promise<Answer> {
    const { title, conditions } = await this.segments.get(checkedId(id, 'segment'));
    try {
      await this.segments.remove(id);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const typed = typedOfSegment(title, conditions);
      return this.show({ id, status: 409, typed, problems: [plainProblem(error.message)], count: null });
    }
    return new SeeOther('/admin/segments');
  }

  private async save(id: string | null, body: unknown): Promise<Answer> {
    const typed = segmentTypedFrom(body);
    const action = typedTexts(body, 200)('action');
    const shown = { id, typed, problems: [], count: null };
    if (action === 'shape' || action.includes(':'))
      return this.show({ ...shown, status: 200, typed: afterEdit(typed, action) });
    const checked = await this.check.of(typed);
    if (!checked.ok) return this.show({ ...shown, status: 422, problems: checked.problems });
    const { conditions } = checked;
    if (action === 'count') {
      const count = await this.segments.count(conditions);
      return this.show({ ...shown, status: 200, count });
    }
    const { title } = typed;
    if (title === '') return this.show({ ...shown, status: 422, problems: [NAMELESS] });
    try {
      if (id === null) await this.segments.create({ key: keyOfTitle(title) || 'segment', title, conditions });
      else await this.segments.update(id, { title, conditions });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const message =
        error.code === 'SEGMENT_ALREADY_EXISTS' ? 'There is a segment of this name.' : error.message;
      return this.show({ ...shown, status: 422, problems: [plainProblem(message)] });
    }
    return new SeeOther('/admin/segments');
  }

  private async show({ id, status, ...shown }: Shown): Promise<Answer> {
    const { typed } = shown;
    const definitions = await this.fields.definitions();
    const names = { ...(await knownNames(this.dataSource.manager)), fields: fieldChoices(definitions) };
    return new Page(
      'segment',
      {
        ...{ ...shown, id, tree: treeView(typed, names, definitions, shown.problems) },
        lists: [...SUGGESTED].map((name) => ({ name, values: names[name] })),
        action: id === null ? '/admin/segments' : `/admin/segments/${id}`,
      },
      status,
    );
  }
}

/** What may be typed, with these to help. */
const SUGGESTED = ['tags', 'steps', 'arms', 'events'] as const;
const NAMELESS: SegmentProblem = { name: 'title', label: 'Name', message: 'give it a name' };

function plainProblem(message: string): SegmentProblem {
  return { name: '', label: '', message };
}

function problemText({ label, message }: SegmentProblem): string {
  return label === '' ? message : `${label}: ${message}`;
}
