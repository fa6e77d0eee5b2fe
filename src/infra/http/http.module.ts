import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE, DiscoveryModule } from '@nestjs/core';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { ApiDocsController } from './api-docs.controller.js';
import { EtagInterceptor } from './etag.interceptor.js';
import { HealthController } from './health.controller.js';
import { IdempotencyKeys } from './idempotency-keys.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { IdempotencyJobs } from './idempotency.jobs.js';
import { OpenApiService } from './openapi.service.js';
import { PageRenderer } from './page-renderer.js';
import { ProblemFilter } from './problem.filter.js';
import { RequestPipe } from './request.pipe.js';

/** What all controllers share: schemas checked, errors answered, repeats replayed, pages rendered. */
@Global()
@Module({
  imports: [DiscoveryModule],
  controllers: [HealthController, ApiDocsController],
  providers: [
    PageRenderer,
    OpenApiService,
    IdempotencyKeys,
    IdempotencyJobs,
    { provide: Registry, useFactory: createRegistry },
    { provide: APP_FILTER, useClass: ProblemFilter },
    { provide: APP_PIPE, useClass: RequestPipe },
    // Around the other: an answer that is replayed has its tag, too.
    { provide: APP_INTERCEPTOR, useClass: EtagInterceptor },
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
  ],
  exports: [PageRenderer, IdempotencyKeys, OpenApiService, Registry],
})
export class HttpModule {}

function createRegistry(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
