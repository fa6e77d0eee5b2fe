import { z } from 'zod';
import type { ApiRouteDescription } from './api-routes.js';
import type { Json, JsonObject } from '../../values/json-object.js';
import { problemResponses, takesKey } from './openapi-problems.js';

/** An OpenAPI 3.1 document; its schemas are JSON Schema 2020-12, which Zod writes as it is. */
export interface OpenApiDocument {
  openapi: '3.1.0';
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  tags: { name: string }[];
  security: JsonObject[];
  paths: Record<string, Record<string, JsonObject>>;
  components: { securitySchemes: JsonObject; responses: JsonObject; schemas: Record<string, Json> };
}

const DESCRIPTION = `Everything the web app does, for programs.

- Send an API key as \`Authorization: Bearer KEY\`. Requests with a key are not limited in number; single mails
  (\`POST /api/v1/messages\`) and sign-ups from other sites are (429, with \`Retry-After\`).
- Lists answer \`{ "data": [...], "nextCursor": ... }\`, newest first; pass \`nextCursor\` back as \`cursor\` for the next page
  until it is null. What is made meanwhile moves nothing from one page to another.
- A refused request is answered as \`application/problem+json\`; branch on its \`code\`. Each route names those that are its own.
  422 \`REQUEST_INVALID\` says in \`errors\` which fields are wrong and what is allowed, of an id in the address, too; an id that
  nothing has is 404 \`X_NOT_FOUND\`. Unknown fields are refused, not ignored. 503 asks to try again after \`Retry-After\`
  seconds.
- A write may carry an \`Idempotency-Key\` where it lists that header: for 24 hours the same key with the same request gets the
  first answer again, marked \`Idempotency-Replayed: true\`, also when it was refused. After 429 and 5xx the key is free again.
  What takes an API key and does not list that header changes nothing when it is repeated.
- One subscriber, list, segment, broadcast or funnel is answered with an \`ETag\`. A write that sends it as \`If-Match\` is refused (412
  \`PRECONDITION_FAILED\`) when somebody has written since; what is only counted, such as the people of a list, does not matter. A GET that
  sends it as \`If-None-Match\` is answered with 304 while nothing at all has changed.
- Answers carry an \`X-Request-Id\`; a problem has it as \`instance\`, and so has the server's log of an unexpected one.
- Times are ISO 8601 in UTC, money is \`{ "amountMinor": 4900, "currency": "EUR" }\`.`;

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().meta({ description: 'Stable; what to branch on.' }),
    errors: z
      .array(
        z.object({
          field: z.string().meta({ description: 'Dotted path of the field.' }),
          message: z.string(),
          allowed: z.union([z.string(), z.array(z.string())]).optional(),
        }),
      )
      .optional(),
    facts: z.record(z.string(), z.unknown()).optional(),
    instance: z.string().optional(),
  })
  .meta({ id: 'Problem' });

const IDEMPOTENCY_HEADER: JsonObject = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A new value for each request, such as a UUID. Repeating the request with it does the work once.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

const IF_MATCH: JsonObject = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'The `ETag` that was read: when somebody has written since, nothing is done.',
  schema: { type: 'string' },
};

const IF_NONE_MATCH: JsonObject = {
  name: 'If-None-Match',
  in: 'header',
  required: false,
  description: 'The `ETag` that was read: 304 without a body while the answer is the same.',
  schema: { type: 'string' },
};

const ETAG: JsonObject = {
  ETag: { description: 'Of this answer; for `If-Match` and `If-None-Match`.', schema: { type: 'string' } },
};

const REPLAYED: JsonObject = {
  'Idempotency-Replayed': {
    description: '`true` when this is the kept answer to an earlier request with the same key.',
    schema: { type: 'string', const: 'true' },
  },
};

/** Of parameters whose schema does not say it. */
const WORDS: Readonly<Record<string, string>> = {
  id: 'As the API gave it.',
  key: 'As the funnel file writes it.',
  slug: 'As the funnel file writes it.',
  name: 'Its name.',
  funnel: 'Key of the funnel.',
  product: 'Only of the product with this key.',
  kind: 'Only of this kind.',
  state: 'Only in this state.',
  verdict: 'Only with this verdict.',
  subscriberId: 'Of the subscriber with this id.',
  messageId: 'Only of the message with this id.',
  broadcastId: 'Only of the broadcast with this id.',
  affiliateId: 'Only of the affiliate with this id.',
  orderId: 'Only of the order with this id.',
  payoutId: 'Only in the payout with this id.',
};

const JSON_TYPE = 'application/json';

const PROBLEM_REF: JsonObject = { $ref: '#/components/responses/Problem' };
const PROBLEM_SCHEMA: JsonObject = { $ref: '#/components/schemas/Problem' };

/** Throws when a schema cannot be written as JSON Schema, naming the operation. */
export function buildOpenApi(routes: readonly ApiRouteDescription[], baseUrl: string): OpenApiDocument {
  const schemas = new ComponentSchemas();
  const paths: OpenApiDocument['paths'] = {};
  for (const route of routes.toSorted((a, b) => compare(a.path, b.path))) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[route.method] = operationOf(route, schemas);
  }
  const problem = schemas.write(problemSchema, 'output', 'problem');
  return {
    openapi: '3.1.0',
    info: { title: 'Wellspring', version: '1', description: DESCRIPTION },
    servers: [{ url: baseUrl }],
    tags: [...new Set(routes.map(({ route }) => route.tag))].toSorted(compare).map((name) => ({ name })),
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } },
      responses: {
        Problem: {
          description:
            'The request was refused or failed: `INTERNAL_ERROR` with 500, and what came after this was written.',
          content: { 'application/problem+json': { schema: problem } },
        },
      },
      schemas: schemas.all(),
    },
  };
}

function operationOf(description: ApiRouteDescription, schemas: ComponentSchemas): JsonObject {
  const { method, operationId, route, body } = description;
  const status = route.status ?? (route.response === null ? 204 : method === 'post' ? 201 : 200);
  const answer: JsonObject = {
    description: route.response === null ? 'Done.' : 'The answer.',
    ...(takesKey(description) || route.etag
      ? { headers: { ...(takesKey(description) ? REPLAYED : {}), ...(route.etag ? ETAG : {}) } }
      : {}),
  };
  if (route.response) {
    const schema = schemas.write(route.response, 'output', operationId);
    answer['content'] = { [route.produces ?? JSON_TYPE]: { schema } };
  }
  const operation: JsonObject = {
    operationId,
    summary: route.summary,
    tags: [route.tag],
    parameters: parametersOf(description, schemas),
    responses: {
      [status]: answer,
      ...unmodifiedOf(description),
      ...problemResponses(description, PROBLEM_SCHEMA),
      default: PROBLEM_REF,
    },
  };
  if (route.description !== undefined) operation['description'] = route.description;
  if (body) {
    operation['requestBody'] = {
      // A request without a body is read as one with no fields.
      required: !body.safeParse({}).success,
      content: {
        [JSON_TYPE]: { schema: schemas.write(body, 'input', operationId), example: exampleOf(description) },
      },
    };
  }
  if (route.consumes)
    operation['requestBody'] = {
      required: true,
      content: { [route.consumes]: { schema: { type: 'string' } } },
    };
  if (route.public === true) operation['security'] = [];
  return operation;
}

/** Throws for a body without an example, and for one that would be refused: it would mislead whoever copies it. */
export function exampleOf({ operationId, route: { example }, body }: ApiRouteDescription): Json {
  const parsed = body?.safeParse(example);
  if (example === undefined || parsed?.success !== true)
    throw new Error(
      `${operationId}: @ApiRoute needs an example that its body takes; ${parsed?.error?.message}`,
    );
  return JSON.parse(JSON.stringify(example)) as Json;
}

function parametersOf(description: ApiRouteDescription, schemas: ComponentSchemas): Json[] {
  const { operationId, query, params } = description;
  const parameters: Json[] = Object.entries(params).map(([name, schema]) => ({
    name,
    in: 'path',
    required: true,
    ...described(name, schemas.write(schema, 'input', operationId)),
  }));
  for (const [name, schema] of Object.entries(query?.shape ?? {})) {
    const written = schemas.write(schema as z.ZodType, 'input', operationId);
    const required = !(schema as z.ZodType).safeParse(undefined).success;
    parameters.push({ name, in: 'query', required, ...described(name, written) });
  }
  if (takesKey(description)) parameters.push(IDEMPOTENCY_HEADER);
  if (description.route.ifMatch) parameters.push(IF_MATCH);
  if (isRead(description)) parameters.push(IF_NONE_MATCH);
  return parameters;
}

function isRead({ method, route }: ApiRouteDescription): boolean {
  return method === 'get' && route.etag !== undefined;
}

function unmodifiedOf(description: ApiRouteDescription): JsonObject {
  return isRead(description) ? { 304: { description: 'As it was read.', headers: ETAG } } : {};
}

/** The words stand beside the schema, where readers of the document look for them. */
function described(name: string, schema: Json): JsonObject {
  const { description = WORDS[name] ?? null, ...rest } = schema as JsonObject;
  return { ...(description === null ? {} : { description }), schema: rest };
}

/**
 * The schemas that carry a name (`.meta({ id: 'Order' })`), each written once. One whose input differs from its output
 * (a default, a transformation) stands twice, the input as `OrderInput`.
 */
class ComponentSchemas {
  readonly #schemas = new Map<string, Json>();

  write(schema: z.ZodType, io: 'input' | 'output', operationId: string): Json {
    let written: JsonObject;
    try {
      written = z.toJSONSchema(schema, { io, target: 'draft-2020-12', reused: 'inline' }) as JsonObject;
    } catch (cause) {
      throw new Error(`${operationId}: its ${io} schema cannot be written as JSON Schema`, { cause });
    }
    const { $schema: _, $defs: definitions = {}, ...root } = written;
    const names = new Map<string, string>();
    const entries = Object.entries(definitions as JsonObject);
    for (const [name, definition] of entries)
      names.set(name, this.nameFor(name, definition, { io, operationId }));
    for (const [name, definition] of entries) {
      this.#schemas.set(names.get(name) ?? name, withRefs(definition, names));
    }
    return withRefs(root, names);
  }

  all(): Record<string, Json> {
    return Object.fromEntries([...this.#schemas].toSorted(([a], [b]) => compare(a, b)));
  }

  // Zod calls a schema without a name that is used by itself `__schema0`, counted anew in each document.
  private nameFor(
    name: string,
    definition: Json,
    { io, operationId }: { io: string; operationId: string },
  ): string {
    if (name.startsWith('__')) return `${operationId}.${io}${name.slice('__schema'.length)}`;
    const known = this.#schemas.get(name);
    if (known === undefined) return name;
    const same = JSON.stringify(known) === JSON.stringify(withRefs(definition, new Map()));
    return same ? name : `${name}${io === 'input' ? 'Input' : 'Output'}`;
  }
}

function withRefs(schema: Json, names: ReadonlyMap<string, string>): Json {
  if (Array.isArray(schema)) return schema.map((one) => withRefs(one, names));
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]): [string, Json] => {
    if (key !== '$ref' || typeof value !== 'string') return [key, withRefs(value, names)];
    if (value === '#') throw new Error('A schema that contains itself needs a name: .meta({ id })');
    const name = value.slice('#/$defs/'.length);
    return [key, `#/components/schemas/${names.get(name) ?? name}`];
  });
  return Object.fromEntries(entries);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
