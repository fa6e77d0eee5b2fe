import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { pageEngine, renderPage } from './page-engine.js';
import { TEMPLATES_DIR } from './templates-dir.js';

/** Renders the Liquid pages of `templates/`, as they stand there. */
@Injectable()
export class PageRenderer {
  readonly #engine = pageEngine();

  /** As `renderPage`. */
  async render(template: string, view: object): Promise<string> {
    return renderPage(this.#engine, template, view);
  }
}

/** Where the stylesheets, scripts and pictures of the pages lie. */
export const ASSETS_DIR = join(TEMPLATES_DIR, 'assets');
