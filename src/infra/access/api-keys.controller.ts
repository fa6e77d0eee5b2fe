import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../http/api-route.js';
import { idSchema, type Page, pageOf, pageQuery, type PageQuery, toPage } from '../http/page.js';
import { type ApiKeyJson, apiKeySchema, createApiKeySchema, newApiKeySchema } from './api-keys.schemas.js';
import { type ApiKey, ApiKeysService } from './api-keys.service.js';

@Controller('/api/v1/api-keys')
export class ApiKeysController {
  constructor(private readonly apiKeys: ApiKeysService) {}

  @Get()
  @ApiRoute({ summary: 'List API keys', tag: 'API keys', response: pageOf(apiKeySchema) })
  async list(@Query({ schema: pageQuery }) { limit, cursor }: PageQuery): Promise<Page<ApiKeyJson>> {
    return toPage(await this.apiKeys.list(limit + 1, cursor), limit, toJson);
  }

  @Post()
  @ApiRoute({
    summary: 'Create an API key',
    tag: 'API keys',
    response: newApiKeySchema,
    example: { name: 'Shop' },
  })
  async create(
    @Body({ schema: createApiKeySchema }) { name }: z.output<typeof createApiKeySchema>,
  ): Promise<z.output<typeof newApiKeySchema>> {
    const { apiKey, key } = await this.apiKeys.create(name);
    return { ...toJson(apiKey), key };
  }

  @Delete(':id')
  @ApiRoute({ summary: 'Revoke an API key', tag: 'API keys', response: null, errors: ['API_KEY_NOT_FOUND'] })
  async revoke(@Param('id', { schema: idSchema }) id: string): Promise<void> {
    await this.apiKeys.revoke(id);
  }
}

function toJson({ id, name, prefix, createdAt, lastUsedAt, revokedAt }: ApiKey): ApiKeyJson {
  return {
    id,
    name,
    prefix,
    createdAt: createdAt.toISOString(),
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}
