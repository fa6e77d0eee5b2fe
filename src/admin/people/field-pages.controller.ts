import { Body, Controller, Get, Header, Param, Post } from '@nestjs/common';
import { SegmentsService } from '../../segments/segments.service.js';
import type { FieldType } from '../../subscribers/field.js';
import { createField, updateField } from '../../subscribers/fields.controller.js';
import { FieldsService, type StoredField } from '../../subscribers/fields.service.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf, refusalOf, schemaProblems } from '../forms/form-problems.schemas.js';
import { fieldKeyOf } from '../forms/own-key.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

/** More own fields than this nobody keeps apart. */
const MAX_FIELDS = 500;
const MAX_CHARS = 25_000;

const LABELS = { label: 'Label', key: 'Key', type: 'What it holds', choices: 'Choices' };
const TYPE_WORDS: Readonly<Record<FieldType, string>> = {
  text: 'Text',
  number: 'Number',
  date: 'Date',
  boolean: 'Yes or no',
  choice: 'One of some choices',
};

interface FieldTyped {
  label: string;
  key: string;
  type: string;
  /** One a line. */
  choices: string;
}

/** The owner's own fields of people. */
@Controller('admin/fields')
export class FieldPagesController {
  constructor(
    private readonly fields: FieldsService,
    private readonly segments: SegmentsService,
  ) {}

  @Get()
  async list(): Promise<Answer> {
    const fields = await this.fields.page(undefined, MAX_FIELDS);
    return new Page('fields', { fields: fields.toReversed().map(withWords) });
  }

  @Get('new')
  blank(): Answer {
    return formPage(null, { label: '', key: '', type: 'text', choices: '' });
  }

  @Post()
  async create(@Body() body: unknown): Promise<Answer> {
    const typed = typedFrom(body);
    const given = {
      ...{ label: typed.label, type: typed.type },
      key: typed.key === '' ? fieldKeyOf(typed.label) : typed.key,
      choices: typed.type === 'choice' ? linesOf(typed.choices) : [],
    };
    const parsed = createField.safeParse(given);
    if (!parsed.success) return formPage(null, typed, schemaProblems(parsed.error.issues, LABELS));
    try {
      const { id } = await this.fields.create(parsed.data);
      return new SeeOther(`/admin/fields/${id}`);
    } catch (error) {
      return formPage(null, typed, refusalOf(error, LABELS));
    }
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<Answer> {
    const field = await this.fields.get(checkedId(id, 'field'));
    return this.showOne(field, typedOf(field));
  }

  /** For the number that a page fills in after it has been shown. */
  @Get(':id/count')
  @Header('cache-control', 'no-store')
  async count(@Param('id') id: string): Promise<{ count: number }> {
    const { key } = await this.fields.get(checkedId(id, 'field'));
    return { count: await this.segments.count({ field: key, op: 'isSet' }) };
  }

  @Post(':id')
  async update(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const field = await this.fields.get(checkedId(id, 'field'));
    const typed = { ...typedFrom(body), key: field.key, type: field.type };
    const choices = field.type === 'choice' ? { choices: linesOf(typed.choices) } : {};
    const parsed = updateField.safeParse({ label: typed.label, ...choices });
    if (!parsed.success) return this.showOne(field, typed, schemaProblems(parsed.error.issues, LABELS));
    try {
      await this.fields.update(id, parsed.data);
    } catch (error) {
      return this.showOne(field, typed, refusalOf(error, LABELS));
    }
    return new SeeOther('/admin/fields');
  }

  @Post(':id/remove')
  async remove(@Param('id') id: string): Promise<Answer> {
    const field = await this.fields.get(checkedId(id, 'field'));
    try {
      await this.fields.remove(id);
    } catch (error) {
      return this.showOne(field, typedOf(field), refusalOf(error, LABELS), 409);
    }
    return new SeeOther('/admin/fields');
  }

  private async showOne(
    field: StoredField,
    typed: FieldTyped,
    problems: FormProblem[] = [],
    status = 422,
  ): Promise<Answer> {
    const shown = {
      ...withWords(field),
      ...{ uses: await this.fields.usesOf(field.key) },
      count: await this.segments.count({ field: field.key, op: 'isSet' }),
    };
    return formPage(shown, typed, problems, status);
  }
}

function formPage(
  field: object | null,
  typed: FieldTyped,
  problems: FormProblem[] = [],
  status = 422,
): Answer {
  const types = Object.entries(TYPE_WORDS).map(([value, label]) => ({ value, label }));
  const view = { field, typed, types, problems, errors: messagesOf(problems) };
  return new Page('field', view, problems.length === 0 ? 200 : status);
}

function withWords(field: StoredField): object {
  return { ...field, typeWords: TYPE_WORDS[field.type] };
}

function typedOf({ label, key, type, choices }: StoredField): FieldTyped {
  return { label, key, type, choices: choices.join('\n') };
}

function typedFrom(body: unknown): FieldTyped {
  const text = typedTexts(body, MAX_CHARS);
  return { label: text('label'), key: text('key'), type: text('type'), choices: text('choices') };
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
