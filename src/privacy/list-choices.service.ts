import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { ListOfPerson } from '../subscribers/list.js';
import { ListsService } from '../subscribers/lists.service.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { listChanges, listWords, type PreferencesForm, FROM_PREFERENCES } from './preferences.js';
import type { Where } from './preferences.service.js';

/** Lists that people join and leave by themselves. Each decision is kept as evidence with its words. */
@Injectable()
export class ListChoicesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly lists: ListsService,
    private readonly subscribers: SubscribersService,
  ) {}

  /** What the page may show: the owner's own lists stay unseen. */
  async of(subscriberId: string): Promise<ListOfPerson[]> {
    return (await this.lists.ofPerson(subscriberId)).filter(({ isPublic }) => isPublic);
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  async save(subscriberId: string, form: PreferencesForm, where: Where): Promise<void> {
    const changes = listChanges(await this.of(subscriberId), form);
    await this.dataSource.transaction(async (manager) => {
      for (const { id, key, title, wanted } of changes) {
        if (wanted) await this.lists.add(id, subscriberId, manager);
        else await this.lists.remove(id, subscriberId, manager);
        await this.subscribers.recordConsent(manager, {
          ...where,
          pageUrl: FROM_PREFERENCES,
          subscriberId,
          kind: wanted ? 'granted' : 'withdrawn',
          purpose: `list:${key}`,
          consentText: listWords(title),
        });
      }
    });
  }
}
