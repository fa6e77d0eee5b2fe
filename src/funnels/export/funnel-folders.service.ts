import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { FilesService } from '../../infra/files/files.service.js';
import { DeliveredFiles } from '../files/delivered-files.service.js';
import { insideOf } from '../files/delivered.files.js';
import { FunnelsService } from '../funnels.service.js';

/** Exports with the files that funnels deliver, which no YAML holds. */
@Injectable()
export class FunnelFolders {
  constructor(
    private readonly dataSource: DataSource,
    private readonly funnels: FunnelsService,
    private readonly delivered: DeliveredFiles,
    private readonly files: FilesService,
  ) {}

  /**
   * The funnel, or each that is not archived, into a folder of its own below `folder`, since two may give one name to different files; what is there is
   * written over. Returns the paths of the funnel files. Throws `FUNNEL_NOT_FOUND`, and `FILE_LOST` where the store has not
   * all bytes.
   */
  async write(
    folder: string,
    key: string | undefined,
    { withTexts }: { withTexts: boolean },
  ): Promise<string[]> {
    const keys = key === undefined ? await this.present() : [key];
    const paths: string[] = [];
    for (const funnel of keys) {
      const own = join(folder, funnel);
      const yaml = await this.funnels.export(funnel, { withTexts });
      await mkdir(own, { recursive: true });
      for (const { name, file } of await this.delivered.ofFunnel(this.dataSource.manager, funnel)) {
        const path = insideOf(own, name);
        await mkdir(dirname(path), { recursive: true });
        await pipeline(await this.files.read(file), createWriteStream(path));
      }
      await writeFile(join(own, 'funnel.yaml'), yaml);
      paths.push(join(own, 'funnel.yaml'));
    }
    return paths;
  }

  /** Files with one that is archived among them could not be applied together. */
  private async present(): Promise<string[]> {
    return (await this.funnels.list()).flatMap((row) => (row.archivedAt === null ? row.key : []));
  }
}
