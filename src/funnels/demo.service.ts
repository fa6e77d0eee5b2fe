import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Injectable } from '@nestjs/common';
import { FunnelsService } from './funnels.service.js';

const FOLDER = resolve('config', 'funnels');

/** Demo mode: what stands in `config/funnels` is there after the start. */
@Injectable()
export class DemoService {
  constructor(private readonly funnels: FunnelsService) {}

  /** Lines to print. Applying an unchanged funnel changes nothing, so this is safe at every start. */
  async applyAll(): Promise<string[]> {
    const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.yaml')).toSorted();
    const lines: string[] = [];
    for (const name of names) {
      const plan = await this.funnels.applyFile(join(FOLDER, name));
      if (plan.changes.length > 0)
        lines.push(`Applied config/funnels/${name} (${plan.changes.length} changes)`);
    }
    return lines;
  }
}
