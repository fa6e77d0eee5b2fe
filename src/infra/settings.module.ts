import { type DynamicModule, Module } from '@nestjs/common';
import { CLOCK, type Clock } from './clock.js';
import { CONFIG, type Config } from './config.js';

/** What every module may ask for without importing anything: the checked configuration and the time. */
@Module({})
export class SettingsModule {
  static forRoot(config: Config, clock: Clock): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: CLOCK, useValue: clock },
      ],
      exports: [CONFIG, CLOCK],
    };
  }
}
