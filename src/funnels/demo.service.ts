import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Injectable } from '@nestjs/common';
import { FunnelsService } from './funnels.service.js';
import { readFunnelText } from './funnel-text.files.js';

/** Where the funnels of the installation lie, with their files. */
export const FUNNELS_FOLDER = resolve('config', 'funnels');
const START_FILE = 'niche-ebook.yaml';

/** Demo mode: what stands in `config/funnels` is there after the start. */
@Injectable()
export class DemoService {
  constructor(private readonly funnels: FunnelsService) {}

  /** Lines to print. Applying an unchanged funnel changes nothing, so this is safe at every start. */
  async applyAll(): Promise<string[]> {
    const names = (await readdir(FUNNELS_FOLDER)).filter((name) => name.endsWith('.yaml')).toSorted();
    const lines: string[] = [];
    for (const name of names) {
      const plan = await this.funnels.applyFile(join(FUNNELS_FOLDER, name), { by: 'start' });
      if (plan.changes.length > 0)
        lines.push(`Applied config/funnels/${name} (${plan.changes.length} changes)`);
    }
    return lines;
  }

  /** The text of the demonstration, which a new funnel begins with. Throws `FUNNEL_FILE_NOT_FOUND`. */
  async startingText(): Promise<string> {
    return readFunnelText(join(FUNNELS_FOLDER, START_FILE));
  }
}
