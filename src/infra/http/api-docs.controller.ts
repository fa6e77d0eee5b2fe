import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { OpenApiService, type OpenApiDocument } from './openapi.service.js';

/** Swagger UI as its package ships it, so that the pages work without a network. */
export const SWAGGER_UI_DIR = join(
  dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui')),
  'static',
);

/** Swagger UI styles its parts from script, hence `unsafe-inline` for styles; scripts stay with this server. */
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Wellspring API</title>
  <link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/api/docs/ui/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <noscript>These pages need JavaScript. The description itself is at <a href="/api/openapi.json">/api/openapi.json</a>.</noscript>
  <script src="/api/docs/ui/swagger-ui-bundle.js"></script>
  <script src="/api/docs/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({
  url: '/api/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
`;

/** The description of the REST interface and its pages. Both are reached without a key: they hold no data. */
@Controller('/api')
export class ApiDocsController {
  constructor(private readonly openApi: OpenApiService) {}

  @Get('openapi.json')
  document(): OpenApiDocument {
    return this.openApi.document();
  }

  @Get('docs')
  page(@Res({ passthrough: true }) reply: FastifyReply): string {
    reply
      .header('content-type', 'text/html; charset=utf-8')
      .header('content-security-policy', CONTENT_SECURITY_POLICY);
    return PAGE;
  }

  @Get('docs/start.js')
  start(@Res({ passthrough: true }) reply: FastifyReply): string {
    reply.header('content-type', 'text/javascript; charset=utf-8');
    return START;
  }
}
