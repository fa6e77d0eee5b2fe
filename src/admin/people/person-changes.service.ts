import { Injectable } from '@nestjs/common';
import { SubscriberChangesService } from '../../sequences/subscriber-changes/subscriber-changes.service.js';
import type { FieldDefinition } from '../../subscribers/field.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import { ListsService } from '../../subscribers/lists.service.js';
import type { Subscriber } from '../../subscribers/subscriber.js';
import { TagsService } from '../../subscribers/tags.service.js';
import { type FormProblem, messagesOf, refusalOf } from '../forms/form-problems.schemas.js';
import { personTypedFrom, type PersonTyped, readPerson, typedOfPerson, valueText } from './person-form.js';

/** What is known of a person beyond their mails, to look at and to change. */
@Injectable()
export class PersonChangesService {
  constructor(
    private readonly changes: SubscriberChangesService,
    private readonly fields: FieldsService,
    private readonly lists: ListsService,
    private readonly tags: TagsService,
  ) {}

  /** Values by field as they read, those of no defined field, and lists. */
  async known(person: Subscriber): Promise<object> {
    const definitions = await this.fields.definitions();
    const own = [...definitions.values()].map(({ key, label, type }) => ({
      ...{ key, label },
      value: inWords(type, person.fields[key]),
    }));
    const others = Object.entries(person.fields).filter(([key]) => !definitions.has(key));
    return {
      fields: own,
      otherFields: others.map(([key, value]) => ({ key, value: JSON.stringify(value) })),
      lists: (await this.lists.ofPerson(person.id)).filter(({ isMember }) => isMember),
    };
  }

  async blankForm(person: Subscriber): Promise<object> {
    const definitions = await this.fields.definitions();
    const on = (await this.lists.ofPerson(person.id)).filter(({ isMember }) => isMember);
    const typed = typedOfPerson(
      person,
      definitions,
      on.map(({ id }) => id),
    );
    return this.form(definitions, typed, []);
  }

  /** Null when it is done; else the form again, which says what is wrong with which field. */
  async change(person: Subscriber, body: unknown): Promise<object | null> {
    const definitions = await this.fields.definitions();
    const typed = personTypedFrom(body, definitions);
    const read = readPerson(typed, definitions);
    if (!read.ok) return this.form(definitions, typed, read.problems);
    const { tags, lists, ...rest } = read.change;
    const known = new Set((await this.lists.titles()).map(({ id }) => id));
    try {
      if (Object.keys(rest).length > 1 || Object.keys(rest.fields).length > 0)
        await this.changes.update(person.id, rest);
      for (const tag of tags.removed) await this.changes.removeTag(person.id, tag);
      for (const tag of tags.added) await this.changes.addTag(person.id, tag);
      for (const id of lists.removed) if (known.has(id)) await this.lists.remove(id, person.id);
      for (const id of lists.added) if (known.has(id)) await this.lists.add(id, person.id);
    } catch (error) {
      const labels = Object.fromEntries(
        [...definitions.values()].map((one) => [`fields.${one.key}`, one.label]),
      );
      return this.form(definitions, typed, refusalOf(error, labels));
    }
    return null;
  }

  private async form(
    definitions: ReadonlyMap<string, FieldDefinition>,
    typed: PersonTyped,
    problems: FormProblem[],
  ): Promise<object> {
    const lists = await this.lists.titles();
    return {
      ...{ typed, problems, errors: messagesOf(problems), tagNames: await this.tags.names() },
      lists: lists.map((list) => ({ ...list, isChosen: typed.lists.includes(list.id) })),
      fields: [...definitions.values()].map((definition) => {
        const name = `field.${definition.key}`;
        return { ...definition, name, value: typed.now[name] ?? '', was: typed.was[name] ?? '' };
      }),
    };
  }
}

function inWords(type: FieldDefinition['type'], value: unknown): string {
  if (type === 'boolean' && typeof value === 'boolean') return value ? 'yes' : 'no';
  return valueText(value);
}
