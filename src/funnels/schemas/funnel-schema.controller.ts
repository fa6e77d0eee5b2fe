import { Controller, Get, Header } from '@nestjs/common';
import { funnelJsonSchema } from './funnel-json-schema.js';

/** For editors: `# yaml-language-server: $schema=ADDRESS` on the first line of a funnel file. Holds no data. */
@Controller('schema')
export class FunnelSchemaController {
  #schema: string | undefined;

  @Get('funnel.json')
  @Header('Content-Type', 'application/schema+json; charset=utf-8')
  @Header('Access-Control-Allow-Origin', '*')
  funnel(): string {
    this.#schema ??= JSON.stringify(funnelJsonSchema(), null, 2);
    return this.#schema;
  }
}
