import { applyDecorators, HttpCode, SetMetadata } from '@nestjs/common';
import type { z } from 'zod';
import type { Written } from './etag.js';

const API_ROUTE = 'wellspring:api-route';

/** What the OpenAPI document cannot read from the route itself; body, query and path schemas come from its parameters. */
export interface ApiRouteOptions {
  /** One line in the imperative: `List subscribers`. */
  summary: string;
  description?: string;
  /** Heading under which the route stands: the resource's name. */
  tag: string;
  /** Schema of the answer; `null` for an answer without body (204). */
  response: z.ZodType | null;
  /** Status of the answer when all goes well; 204 without a response, else 201 for POST, else 200. */
  status?: number;
  /** A body that the schema takes, as the document shows it. Where there is a body of JSON the start stops without one. */
  example?: object;
  /** Codes that the route refuses with beside those of all routes; their status follows from them. */
  errors?: readonly string[];
  /** `false` for a write that needs no `Idempotency-Key` because repeating it changes nothing. */
  idempotent?: boolean;
  /** The answer carries an `ETag`: what of it writes change. */
  etag?: Written;
  /** The write takes `If-Match`, and looks at it in its transaction. */
  ifMatch?: true;
  /** Kind of the body when that is no JSON. */
  consumes?: 'text/csv' | 'application/octet-stream';
  /** Kind of the answer when that is no JSON. */
  produces?: 'text/csv';
  /** `true` for a route that is reached without a key. */
  public?: boolean;
}

/**
 * Stands on every REST route: sets the status and describes the route for the OpenAPI document. A route under
 * `/api/v1` without it stops the start.
 */
export function ApiRoute(options: ApiRouteOptions): MethodDecorator {
  const status = options.status ?? (options.response === null ? 204 : undefined);
  return applyDecorators(
    SetMetadata(API_ROUTE, options),
    ...(status === undefined ? [] : [HttpCode(status)]),
  );
}

/** What `@ApiRoute` said about a handler, if it stands there. */
export function apiRouteOf(handler: object): ApiRouteOptions | undefined {
  return Reflect.getMetadata(API_ROUTE, handler) as ApiRouteOptions | undefined;
}
