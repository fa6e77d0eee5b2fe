import type { JsonObject } from '../../values/json-object.js';
import type { ApiRouteDescription } from './api-routes.js';
import { PROBLEM_MEDIA_TYPE, statusOfCode } from './problem.js';

/** What the web server itself refuses; their status does not follow from the code. */
const OF_A_BODY = { REQUEST_MALFORMED: 400, REQUEST_TOO_LARGE: 413, REQUEST_MEDIA_TYPE_UNSUPPORTED: 415 };
const OF_A_KEY = [
  ...['IDEMPOTENCY_ANSWER_GONE', 'IDEMPOTENCY_IN_PROGRESS', 'IDEMPOTENCY_KEY_INVALID'],
  'IDEMPOTENCY_KEY_REUSED',
];

const RETRY_AFTER: JsonObject = {
  'Retry-After': { description: 'Ask again after so many seconds.', schema: { type: 'integer', minimum: 1 } },
};
const RETRIED = new Set([429, 503]);

/** Whether the route takes an `Idempotency-Key`. */
export function takesKey({ method, route }: ApiRouteDescription): boolean {
  return method !== 'get' && route.public !== true && route.idempotent !== false;
}

/** The answers of a route that refuses, by status, each with the codes that it may carry. */
export function problemResponses(description: ApiRouteDescription, problem: JsonObject): JsonObject {
  const { route, query, body, params } = description;
  const byStatus = new Map<number, string[]>();
  const note = (code: string, status = statusOfCode(code)): void => {
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  };
  if (route.public !== true) note('API_KEY_UNAUTHORIZED');
  if (body || query || Object.keys(params).length > 0) note('REQUEST_INVALID');
  if (body || route.consumes) for (const [code, status] of Object.entries(OF_A_BODY)) note(code, status);
  if (takesKey(description)) for (const code of OF_A_KEY) note(code);
  if (route.ifMatch) note('PRECONDITION_FAILED');
  for (const code of route.errors ?? []) note(code);
  note('DATABASE_UNAVAILABLE');
  const content = { [PROBLEM_MEDIA_TYPE]: { schema: problem } };
  return Object.fromEntries(
    [...byStatus].map(([status, codes]): [string, JsonObject] => [
      String(status),
      {
        description: codes.map((code) => `\`${code}\``).join(', '),
        ...(RETRIED.has(status) ? { headers: RETRY_AFTER } : {}),
        content,
      },
    ]),
  );
}
