import { type DynamicModule, Module } from '@nestjs/common';
import { CLOCK, type Clock } from './clock.js';
import { CONFIG, type Config } from './config.js';
import { DNS, systemDns, type DnsResolver } from './dns.js';

/** What every module may ask for without importing anything: the checked configuration, the time and the DNS. */
@Module({})
export class SettingsModule {
  static forRoot(config: Config, clock: Clock, dns: DnsResolver = systemDns()): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: CLOCK, useValue: clock },
        { provide: DNS, useValue: dns },
      ],
      exports: [CONFIG, CLOCK, DNS],
    };
  }
}
