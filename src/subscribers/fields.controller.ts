import { Body, Controller, Delete, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, type PageQuery, toPage } from '../infra/http/page.js';
import { COLUMN_KEYS, FIELD_TYPES } from './field.js';
import { FieldsService, type StoredField } from './fields.service.js';
import { fieldKey } from './subscribers.schemas.js';

const MAX_CHOICES = 200;

const label = z.string().trim().min(1).max(100);
const choices = z
  .array(z.string().trim().min(1).max(100))
  .max(MAX_CHOICES)
  .refine((all) => new Set(all.map((one) => one.toLowerCase())).size === all.length, 'name each choice once');

const fieldSchema = z
  .object({
    id: z.string(),
    key: z.string(),
    label: z.string(),
    type: z.enum(FIELD_TYPES),
    choices: z.array(z.string()),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'SubscriberField' });

const ownKey = fieldKey.refine(
  (key) => !COLUMN_KEYS.some((column) => column === key),
  `every subscriber has ${COLUMN_KEYS.join(', ')} already`,
);

export const createField = z
  .strictObject({ key: ownKey, label, type: z.enum(FIELD_TYPES), choices: choices.default([]) })
  .refine(({ type, choices: named }) => (type === 'choice') === named.length > 0, {
    path: ['choices'],
    message: 'name the choices of a field of type choice, and of no other',
  });

export const updateField = z
  .strictObject({ label: label.optional(), choices: choices.min(1).optional() })
  .refine((change) => Object.keys(change).length > 0, 'name label or choices');

type FieldJson = z.output<typeof fieldSchema>;

@Controller('api/v1/fields')
export class FieldsController {
  constructor(private readonly fields: FieldsService) {}

  @Get()
  @ApiRoute({ summary: 'List own fields of subscribers', tag: 'fields', response: pageOf(fieldSchema) })
  async list(@Query({ schema: pageQuery }) { cursor, limit }: PageQuery): Promise<Page<FieldJson>> {
    return toPage(await this.fields.page(cursor, limit + 1), limit, fieldJson);
  }

  @Get(':id')
  @ApiRoute({ summary: 'One field', tag: 'fields', response: fieldSchema, errors: ['FIELD_NOT_FOUND'] })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<FieldJson> {
    return fieldJson(await this.fields.get(id));
  }

  @Post()
  @ApiRoute({
    summary: 'Define a field',
    description: 'From then on its values must fit the type, and segments and imports can use it.',
    tag: 'fields',
    response: fieldSchema,
    example: { key: 'budget', label: 'Budget', type: 'choice', choices: ['up to 500', 'more'] },
    errors: ['FIELD_ALREADY_EXISTS'],
  })
  async create(@Body({ schema: createField }) body: z.output<typeof createField>): Promise<FieldJson> {
    return fieldJson(await this.fields.create(body));
  }

  @Patch(':id')
  @ApiRoute({
    summary: 'Rename a field or add choices',
    tag: 'fields',
    response: fieldSchema,
    example: { label: 'Budget a year' },
    errors: ['FIELD_NOT_FOUND', 'FIELD_CHOICES_INVALID'],
  })
  async update(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: updateField }) body: z.output<typeof updateField>,
  ): Promise<FieldJson> {
    return fieldJson(await this.fields.update(id, body));
  }

  @Delete(':id')
  @ApiRoute({
    summary: 'Remove a field, and what everybody has in it',
    description: 'Refused while a segment, a broadcast under way or a sequence asks for it.',
    tag: 'fields',
    response: null,
    errors: ['FIELD_NOT_FOUND', 'FIELD_IN_USE_CONFLICT'],
  })
  async remove(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.fields.remove(id);
  }
}

function fieldJson({ id, key, label: title, type, choices: named, createdAt }: StoredField): FieldJson {
  return { id, key, label: title, type, choices: named, createdAt: createdAt.toISOString() };
}
