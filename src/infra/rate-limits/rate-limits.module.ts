import { Global, Module } from '@nestjs/common';
import { RateLimitsJobs } from './rate-limits.jobs.js';
import { RateLimits } from './rate-limits.service.js';

@Global()
@Module({ providers: [RateLimits, RateLimitsJobs], exports: [RateLimits] })
export class RateLimitsModule {}
