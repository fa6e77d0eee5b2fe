import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { CONFIG, type Config } from '../config.js';
import { type ApiRouteDescription, describeRoutes } from './api-routes.js';
import { buildOpenApi, exampleOf, type OpenApiDocument } from './openapi.js';

export type { OpenApiDocument } from './openapi.js';

/** The OpenAPI document of the running application, read from its controllers once all of them are known. */
@Injectable()
export class OpenApiService implements OnApplicationBootstrap {
  readonly #scanner = new MetadataScanner();
  #document: OpenApiDocument | undefined;

  constructor(
    private readonly discovery: DiscoveryService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Stops the start when a route under `/api/v1` is not described, or its example misleads: a bug, found early. */
  onApplicationBootstrap(): void {
    for (const route of this.routes()) if (route.body) exampleOf(route);
  }

  /** Made when it is first asked for: it takes a quarter of a second, and most processes are never asked. */
  document(): OpenApiDocument {
    this.#document ??= buildOpenApi(this.routes(), this.config.baseUrl);
    return this.#document;
  }

  /** Every described route. Throws when one under `/api/v1` is not. */
  routes(): ApiRouteDescription[] {
    return this.discovery
      .getControllers()
      .flatMap(({ metatype, instance }: { metatype: unknown; instance: object }) =>
        typeof metatype === 'function'
          ? describeRoutes(
              metatype,
              instance,
              this.#scanner.getAllMethodNames(Object.getPrototypeOf(instance)),
            )
          : [],
      );
  }
}
