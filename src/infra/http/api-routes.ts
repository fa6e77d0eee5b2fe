import { RequestMethod } from '@nestjs/common';
import {
  METHOD_METADATA,
  PATH_METADATA,
  ROUTE_ARGS_METADATA,
  RouteParamtypes,
} from '@nestjs/common/internal';
import { z } from 'zod';
import { apiRouteOf, type ApiRouteOptions } from './api-route.js';

/** A REST route as its decorators declare it. */
export interface ApiRouteDescription {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** `/api/v1/tags/:id` */
  path: string;
  /** `tags.remove`: controller and method. */
  operationId: string;
  route: ApiRouteOptions;
  body: z.ZodType | undefined;
  query: z.ZodObject | undefined;
  params: Record<string, z.ZodType>;
}

const METHODS: ReadonlyMap<RequestMethod, ApiRouteDescription['method']> = new Map([
  [RequestMethod.GET, 'get'],
  [RequestMethod.POST, 'post'],
  [RequestMethod.PUT, 'put'],
  [RequestMethod.PATCH, 'patch'],
  [RequestMethod.DELETE, 'delete'],
]);

/** Nest keeps a parameter of a handler under `<kind>:<place>`. */
const INPUTS: ReadonlyMap<string, 'body' | 'query' | 'param'> = new Map([
  [String(RouteParamtypes.BODY), 'body'],
  [String(RouteParamtypes.QUERY), 'query'],
  [String(RouteParamtypes.PARAM), 'param'],
]);

/**
 * The REST routes of one controller, with the schemas that its parameters are checked by, so that the description
 * cannot say anything else than the check does. Throws for a route under `/api/v1` without `@ApiRoute`, and for a body,
 * query or parameter there that has no schema.
 */
export function describeRoutes(
  controller: { name: string },
  instance: object,
  methodNames: readonly string[],
): ApiRouteDescription[] {
  const prefixes = pathsOf(controller);
  return methodNames.flatMap((methodName) => {
    const handler: unknown = Reflect.get(instance, methodName);
    if (typeof handler !== 'function') return [];
    const method = METHODS.get(Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod);
    if (!method) return [];
    const paths = prefixes.flatMap((prefix) => pathsOf(handler).map((path) => join(prefix, path)));
    const route = apiRouteOf(handler);
    if (!route) {
      const forgotten = paths.find((path) => path.startsWith('/api/v1/'));
      if (forgotten === undefined) return [];
      throw new Error(`${controller.name}.${methodName} (${method} ${forgotten}) has no @ApiRoute`);
    }
    const name = controller.name.replace(/Controller$/, '');
    const operationId = `${name.charAt(0).toLowerCase()}${name.slice(1)}.${methodName}`;
    const inputs = inputsOf(controller, methodName);
    return paths.map((path) => ({ method, path, operationId, route, ...inputs }));
  });
}

interface RouteArgument {
  data?: unknown;
  schema?: unknown;
}

function inputsOf(
  controller: { name: string },
  methodName: string,
): Pick<ApiRouteDescription, 'body' | 'query' | 'params'> {
  const args = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, methodName) ?? {}) as Record<
    string,
    RouteArgument
  >;
  let body: z.ZodType | undefined;
  let query: z.ZodObject | undefined;
  const params: Record<string, z.ZodType> = {};
  for (const [key, { data, schema }] of Object.entries(args)) {
    const kind = INPUTS.get(key.split(':')[0] ?? '');
    if (kind === undefined) continue;
    const place = `${controller.name}.${methodName}`;
    if (!(schema instanceof z.ZodType))
      throw new Error(`${place}: every body, query and parameter needs a Zod schema`);
    if (kind === 'param') {
      if (typeof data !== 'string') throw new Error(`${place}: name the parameter, @Param('id', { schema })`);
      params[data] = schema;
    } else if (kind === 'body') body = schema;
    else if (schema instanceof z.ZodObject) query = schema;
    else throw new Error(`${place}: the schema of a query is an object`);
  }
  return { body, query, params };
}

function pathsOf(target: object): string[] {
  const path: unknown = Reflect.getMetadata(PATH_METADATA, target);
  return (Array.isArray(path) ? path : [path ?? '']).map(String);
}

function join(prefix: string, path: string): string {
  const joined = [...prefix.split('/'), ...path.split('/')].filter((part) => part !== '').join('/');
  return `/${joined}`;
}
