import { Body, Controller, Get, Param, Patch, Query } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ApiRoute } from '../../../../src/infra/http/api-route.js';
import { idSchema, pageOf, pageQuery } from '../../../../src/infra/http/page.js';
import { type HttpApp, startHttpApp } from './http-app.js';

interface Node {
  name: string;
  children: Node[];
}
const colour = z.object({ red: z.int().default(0) }).meta({ id: 'Colour' });
const node: z.ZodType<Node> = z
  .object({ name: z.string(), children: z.array(z.lazy(() => node)) })
  .meta({ id: 'Node' });
const gadget = z.object({ id: z.string(), colour, tree: node }).meta({ id: 'Gadget' });
const change = z.strictObject({ colour: colour.optional() });
const filters = pageQuery.extend({ kind: z.enum(['a', 'b']) });

@Controller('/api/v1/gadgets')
class GadgetsController {
  @Get()
  @ApiRoute({ summary: 'List gadgets', tag: 'Gadgets', response: pageOf(gadget) })
  list(@Query({ schema: filters }) _query: z.output<typeof filters>): unknown {
    return { data: [], nextCursor: null };
  }

  @Patch(':id/colour')
  @ApiRoute({
    summary: 'Paint',
    tag: 'Gadgets',
    response: gadget,
    description: 'In one colour.',
    errors: ['GADGET_NOT_FOUND', 'GADGET_IN_USE_CONFLICT'],
    example: { colour: { red: 7 } },
  })
  paint(
    @Param('id', { schema: idSchema }) _id: string,
    @Body({ schema: change }) _body: z.output<typeof change>,
  ): unknown {
    return {};
  }

  @Get('sample')
  @ApiRoute({ summary: 'Sample', tag: 'Gadgets', response: gadget, public: true })
  sample(): unknown {
    return {};
  }
}

@Controller('/api/v1/forgotten')
class ForgottenController {
  @Get()
  list(): unknown {
    return [];
  }
}

@Controller('/api/v1/unchecked')
class UncheckedController {
  @Get()
  @ApiRoute({ summary: 'List', tag: 'Unchecked', response: z.object({}) })
  list(@Query() _query: unknown): unknown {
    return {};
  }
}

@Controller('/api/v1/misleading')
class MisleadingController {
  @Patch()
  @ApiRoute({ summary: 'Paint', tag: 'Misleading', response: null, example: { color: 'red' } })
  paint(@Body({ schema: change }) _body: unknown): void {}
}

interface JsonSchema {
  $ref?: string;
  required?: string[];
  additionalProperties?: boolean;
  items?: JsonSchema;
  properties: Record<string, JsonSchema>;
}
type Content = Record<string, { schema: JsonSchema; example?: unknown }>;
interface Operation {
  operationId: string;
  security?: unknown[];
  parameters: { name: string; in: string; required: boolean }[];
  requestBody: { required: boolean; content: Content };
  responses: Record<string, { content?: Content }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema> };
}

let http: HttpApp;
let document: Document;

beforeAll(async () => {
  http = await startHttpApp([GadgetsController]);
  document = (await http.inject({ method: 'GET', url: '/api/openapi.json' })).json();
});
afterAll(() => http.close());

function operation(path: string, method: string): Operation {
  const found = document.paths[path]?.[method];
  if (!found) throw new Error(`no ${method} ${path}`);
  return found;
}
const schemaOf = (content: Content | undefined): JsonSchema | undefined =>
  content?.['application/json']?.schema;
const schemaNamed = (name: string | undefined): JsonSchema | undefined =>
  document.components.schemas[name ?? ''];

describe('the OpenAPI document', () => {
  it('is OpenAPI 3.1 at the address of the installation, with a bearer key', () => {
    expect(document).toMatchObject({
      openapi: '3.1.0',
      servers: [{ url: 'https://mail.example.com' }],
      security: [{ apiKey: [] }],
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    });
  });

  it('has every route under /api/v1, with its parameters in braces', () => {
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations.toSorted()).toEqual([
      'delete /api/v1/api-keys/{id}',
      'get /api/v1/api-keys',
      'get /api/v1/gadgets',
      'get /api/v1/gadgets/sample',
      'patch /api/v1/gadgets/{id}/colour',
      'post /api/v1/api-keys',
    ]);
  });

  it('points to nothing that is not there, and names each operation once', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => String(ref));
    expect(refs.length).toBeGreaterThan(5);
    const dangling = refs.filter((ref) => {
      const target = ref
        .split('/')
        .slice(1)
        .reduce<unknown>((at, key) => Reflect.get(Object(at), key), document);
      return typeof target !== 'object';
    });
    expect(dangling).toEqual([]);
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map((one) => one.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('apiKeys.create');
  });

  it('declares each parameter of a path', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const one of Object.values(methods)) {
        const declared = one.parameters.filter((parameter) => parameter.in === 'path');
        expect(declared.map((parameter) => [parameter.name, parameter.required])).toEqual(
          inPath.map((name) => [name, true]),
        );
      }
    }
  });

  it('describes a list by its query, with what must be given', () => {
    const { parameters, responses } = operation('/api/v1/gadgets', 'get');
    expect(parameters).toMatchObject([
      {
        name: 'limit',
        in: 'query',
        required: false,
        schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
      },
      { name: 'cursor', in: 'query', required: false, schema: { type: 'string' } },
      { name: 'kind', in: 'query', required: true, schema: { enum: ['a', 'b'] } },
    ]);
    const list = schemaOf(responses['200']?.content);
    expect(list?.properties['data']?.items).toEqual({ $ref: '#/components/schemas/Gadget' });
  });

  it('describes a write by its body, its key and its problems', () => {
    const paint = operation('/api/v1/gadgets/{id}/colour', 'patch');
    expect(paint).toMatchObject({ summary: 'Paint', description: 'In one colour.', tags: ['Gadgets'] });
    expect(paint.parameters.map((parameter) => parameter.name)).toEqual(['id', 'Idempotency-Key']);
    expect(Object.keys(paint.responses).toSorted()).toEqual([
      ...['200', '400', '401', '404', '409', '410', '413', '415', '422', '503', 'default'],
    ]);
    expect(paint.responses['409']).toEqual({
      description: '`IDEMPOTENCY_IN_PROGRESS`, `GADGET_IN_USE_CONFLICT`',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    });
    expect(paint.responses['503']).toHaveProperty('headers.Retry-After');
    expect(paint.responses['200']).toHaveProperty('headers.Idempotency-Replayed');
    expect(schemaOf(paint.requestBody.content)?.additionalProperties).toBe(false);
    expect(paint.requestBody.required).toBe(false);
    expect(paint.requestBody.content['application/json']?.example).toEqual({ colour: { red: 7 } });
  });

  it('keeps what a named schema takes apart from what it gives', () => {
    expect(schemaNamed('Gadget')?.properties['colour']).toEqual({ $ref: '#/components/schemas/Colour' });
    const body = schemaOf(operation('/api/v1/gadgets/{id}/colour', 'patch').requestBody.content);
    const taken = body?.properties['colour']?.$ref?.split('/').at(-1);
    expect(schemaNamed('Colour')?.required).toEqual(['red']);
    expect(schemaNamed(taken)?.properties).toHaveProperty('red');
    expect(schemaNamed(taken)?.required).toBeUndefined();
  });

  it('describes a schema that contains itself', () => {
    expect(schemaNamed('Node')?.properties['children']?.items).toEqual({ $ref: '#/components/schemas/Node' });
  });

  it('says which route needs no key and which answers nothing', () => {
    expect(operation('/api/v1/gadgets/sample', 'get').security).toEqual([]);
    expect(operation('/api/v1/api-keys/{id}', 'delete').responses['204']?.content).toBeUndefined();
    const made = schemaOf(operation('/api/v1/api-keys', 'post').responses['201']?.content);
    expect(made).toEqual({ $ref: '#/components/schemas/NewApiKey' });
    expect(schemaNamed('NewApiKey')?.properties).toHaveProperty('key');
  });

  it('stops the start for a route without description or without a check', async () => {
    await expect(startHttpApp([ForgottenController])).rejects.toThrow(
      /ForgottenController\.list .* no @ApiRoute/,
    );
    await expect(startHttpApp([UncheckedController])).rejects.toThrow(
      /UncheckedController\.list.*needs a Zod schema/,
    );
    await expect(startHttpApp([MisleadingController])).rejects.toThrow(/misleading\.paint.*needs an example/);
  });
});

describe('its pages', () => {
  it('load only what this server serves', async () => {
    const page = await http.inject({ method: 'GET', url: '/api/docs', headers: { accept: 'text/html' } });
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    const parts = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part]) => String(part));
    expect(parts).toContain('/api/docs/ui/swagger-ui-bundle.js');
    for (const url of parts) {
      const answer = await http.inject({ method: 'GET', url });
      expect([url, answer.statusCode]).toEqual([url, 200]);
    }
    expect((await http.inject({ method: 'GET', url: '/api/docs/start.js' })).body).toContain(
      '/api/openapi.json',
    );
  });
});
