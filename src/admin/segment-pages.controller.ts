import { Body, Controller, Get, Header, HttpCode, Param, Post, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { fieldProblems } from '../infra/http/field-problems.js';
import { cursorOf, toPage } from '../infra/http/page.js';
import { type Condition, conditionSchema } from '../segments/condition.js';
import { SegmentsService } from '../segments/segments.service.js';
import { COLUMN_KEYS } from '../subscribers/field.js';
import { FieldsService } from '../subscribers/fields.service.js';
import { SUBSCRIBER_STATUSES } from '../subscribers/subscription-status.js';
import { DomainError } from '../values/domain-error.js';
import { type Answer, Page, SeeOther } from './answer.js';
import { checkedId } from './page-id.schemas.js';
import {
  conditionsTyped,
  EMPTY_ROW,
  keyOf,
  KIND_GROUPS,
  mayAddRow,
  namesOfKind,
  placeOf,
  type SegmentTyped,
  segmentTypedFrom,
  typedOfSegment,
  withAnotherRow,
} from './segment-form.js';
import { knownNames } from './segment-pages.queries.js';
import { conditionInWords, OPERATOR_CHOICES } from './segment-words.js';

const PAGE_ROWS = 50;

interface Shown {
  /** Null for one that is not kept yet. */
  id: string | null;
  status: number;
  typed: SegmentTyped;
  problems: string[];
  count: number | null;
}

interface Counted {
  count: number | null;
}

type Checked = { ok: true; conditions: Condition } | { ok: false; problems: string[] };

/** Segments for the owner: who belongs to them now, and the conditions as a form. */
@Controller('admin/segments')
export class SegmentPagesController {
  constructor(
    private readonly segments: SegmentsService,
    private readonly fields: FieldsService,
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
    const typed: SegmentTyped = { title: '', match: 'all', rows: [EMPTY_ROW], text: null };
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
    const checked = await this.check(segmentTypedFrom(body));
    return { count: checked.ok ? await this.segments.count(checked.conditions) : null };
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
      return this.show({ id, status: 409, typed, problems: [error.message], count: null });
    }
    return new SeeOther('/admin/segments');
  }

  private async save(id: string | null, body: unknown): Promise<Answer> {
    const typed = segmentTypedFrom(body);
    const action: unknown = Reflect.get(Object(body), 'action');
    const shown = { id, typed, problems: [], count: null };
    if (action === 'add') return this.show({ ...shown, status: 200, typed: withAnotherRow(typed) });
    const checked = await this.check(typed);
    if (!checked.ok) return this.show({ ...shown, status: 422, problems: checked.problems });
    const { conditions } = checked;
    if (action === 'count') {
      const count = await this.segments.count(conditions);
      return this.show({ ...shown, status: 200, count });
    }
    const { title } = typed;
    if (title === '') return this.show({ ...shown, status: 422, problems: ['Give it a name.'] });
    try {
      if (id === null) await this.segments.create({ key: keyOf(title), title, conditions });
      else await this.segments.update(id, { title, conditions });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const problems = [
        error.code === 'SEGMENT_ALREADY_EXISTS' ? 'There is a segment of this name.' : error.message,
      ];
      return this.show({ ...shown, status: 422, problems });
    }
    return new SeeOther('/admin/segments');
  }

  /** The conditions in the form, or what is wrong with them. */
  private async check(typed: SegmentTyped): Promise<Checked> {
    let given: unknown;
    try {
      given = conditionsTyped(typed, await this.fields.definitions());
    } catch {
      return { ok: false, problems: ['The conditions are no JSON.'] };
    }
    if (given === null) return { ok: false, problems: ['Choose at least one condition.'] };
    const parsed = conditionSchema.safeParse(given);
    if (!parsed.success) {
      const problems = fieldProblems(parsed.error.issues, 'conditions');
      return {
        ok: false,
        problems: problems.map(({ field, message }) => `${placeOf(field, typed)}${message}.`),
      };
    }
    try {
      await this.segments.check(parsed.data);
      return { ok: true, conditions: parsed.data };
    } catch (error) {
      if (!(error instanceof DomainError) || !Array.isArray(error.facts['errors'])) throw error;
      const errors = error.facts['errors'] as { field: string; message: string }[];
      return {
        ok: false,
        problems: errors.map(({ field, message }) => `${placeOf(field, typed)}${message}.`),
      };
    }
  }

  private async show({ id, status, ...shown }: Shown): Promise<Answer> {
    const { typed } = shown;
    const definitions = await this.fields.definitions();
    const names = {
      ...(await knownNames(this.dataSource.manager)),
      ...{ statuses: SUBSCRIBER_STATUSES, fields: [...COLUMN_KEYS, ...definitions.keys()] },
    };
    return new Page(
      'segment',
      {
        ...{ ...shown, id, operators: OPERATOR_CHOICES, kinds: KIND_GROUPS, mayAdd: mayAddRow(typed) },
        lists: Object.entries(names).map(([name, values]) => ({ name, values })),
        typed: {
          ...typed,
          rows: typed.rows.map((row, index) => ({
            ...row,
            ...{ name: `row.${index}`, list: namesOfKind(row.kind) },
          })),
        },
        action: id === null ? '/admin/segments' : `/admin/segments/${id}`,
      },
      status,
    );
  }
}
