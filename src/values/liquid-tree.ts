import { toValueSync, type Template } from 'liquidjs';

/** Every template of a parsed Liquid text, at any depth. */
export function* withChildren(templates: Iterable<Template>): Generator<Template> {
  for (const template of templates) {
    yield template;
    if (template.children) yield* withChildren(toValueSync<Template[]>(template.children(false, true)));
  }
}
