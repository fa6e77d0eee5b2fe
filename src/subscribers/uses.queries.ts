import type { EntityManager } from 'typeorm';

/** What names a field, a list or a tag, so that removing it would change who is written to. */
export interface Use {
  kind: 'segment' | 'broadcast' | 'sequence' | 'form' | 'import' | 'bulk enrollment';
  title: string;
  /** Where in it; null where that is not told. */
  place?: string | null;
}

/** Enough to say where to look. */
const MOST = 5;

/**
 * Segments, broadcasts and bulk enrollments that are not over, and sequences that ask for the field or fill it: the version
 * that is published, and each that somebody is still in; and forms that ask people for it. Reads every definition; called when a field is removed, and by nobody else.
 */
export async function usesOfField(db: EntityManager, key: string): Promise<Use[]> {
  return db.query(
    `with uses as (
       ${CONDITIONS.replaceAll('PATH', '$.**.field ? (@ == $name)')}
       union all
       select 'sequence', q.title from sequence q where exists (
         select 1 from sequence_version v where v.sequence_id = q.id
           and ${IS_RUN}
           and (jsonb_path_exists(v.definition, '$.**.field ? (@ == $name)', jsonb_build_object('name', $1::text))
             or jsonb_path_exists(v.definition, '$.nodes[*].fields.keyvalue() ? (@.key == $name)',
                  jsonb_build_object('name', $1::text))))
       union all
       select 'form', slug from form where archived_at is null
         and jsonb_path_exists(content, '$.fields[*].field ? (@ == $name)', jsonb_build_object('name', $1::text)))
     select kind, title from uses order by kind, title limit ${MOST}`,
    [key],
  );
}

/** As `usesOfField`, of a list. */
export async function usesOfList(db: EntityManager, key: string): Promise<Use[]> {
  return db.query(
    `with uses as (${CONDITIONS.replaceAll('PATH', '$.**.list ? (@ == $name)')}
       union all
       ${IMPORTS.replaceAll('NAMES', 'lists')}
       union all
       select 'sequence', q.title from sequence q where exists (
         select 1 from sequence_version v where v.sequence_id = q.id and ${IS_RUN}
           and jsonb_path_exists(v.definition, '$.**.list ? (@ == $name)', jsonb_build_object('name', $1::text))))
     select kind, title from uses order by kind, title limit ${MOST}`,
    [key],
  );
}

/**
 * What asks for the tag or puts it on people: as `usesOfField`. Segments that ask are left out where `withSegments` is
 * false, for a change that they follow.
 */
export async function usesOfTag(
  db: EntityManager,
  name: string,
  { withSegments }: { withSegments: boolean },
): Promise<Use[]> {
  return db.query(
    `with asking as (
       ${CONDITIONS.replaceAll('PATH', '$.**.tag ? (@ == $name)')}
       union all
       select 'broadcast', title from broadcast where state not in ('done', 'cancelled')
         and jsonb_path_exists(audience, '$.tags.*[*] ? (@ == $name)', jsonb_build_object('name', $1::text))
       union all
       ${IMPORTS.replaceAll('NAMES', 'tags')}),
     uses as (
       select kind, title, null as place from asking
       union all
       select 'sequence', q.title, ${TAG_PLACE} from sequence q where exists (
         select 1 from sequence_version v where v.sequence_id = q.id
           and ${IS_RUN} and ${namesTag('v.definition')}))
     select kind, title, place from uses where $2 or kind <> 'segment' order by kind, title limit ${MOST}`,
    [name, withSegments],
  );
}

/** The version `v` of sequence `q` is published, or somebody is in it. */
const IS_RUN = `(v.id = q.current_version_id
  or exists (select 1 from enrollment e where e.version_id = v.id and e.status = 'active'))`;

const namesTag = (json: string): string =>
  `(jsonb_path_exists(${json}, '$.**.tag ? (@ == $name)', jsonb_build_object('name', $1::text))
    or jsonb_path_exists(${json}, '$.**.tags[*] ? (@ == $name)', jsonb_build_object('name', $1::text)))`;

/** In which file of a funnel sequence `q` names the tag, and at which steps. */
const TAG_PLACE = `(select case when ${namesTag('c.definition')}
     then 'funnel ' || q.funnel_key || ': ' || coalesce('steps ' || (
       select string_agg(n.node ->> 'key', ', ' order by n.nth)
       from jsonb_array_elements(c.definition -> 'nodes') with ordinality n (node, nth) where ${namesTag('n.node')}), 'how it begins or ends')
     else 'funnel ' || q.funnel_key || ': an earlier version that somebody is in' end
   from sequence_version c where c.id = q.current_version_id)`;

/** Rows of an import that is under way find their tags and lists by name. Reads those rows. */
const IMPORTS = `
       select 'import', file_name from import_job j where j.state in ('ready', 'running') and not j.dry_run
         and exists (select 1 from import_row r where r.import_id = j.id and $1 = any(r.NAMES))`;

/** A broadcast and a bulk enrollment hold the conditions of their segments as they were when it began. */
const CONDITIONS = `
       select 'segment' as kind, title from segment
         where jsonb_path_exists(conditions, 'PATH', jsonb_build_object('name', $1::text))
       union all
       select 'broadcast', title from broadcast where state not in ('done', 'cancelled')
         and jsonb_path_exists(segments, 'PATH', jsonb_build_object('name', $1::text))
       union all
       select 'bulk enrollment', segment_key from bulk_enrollment where state = 'running'
         and jsonb_path_exists(conditions, 'PATH', jsonb_build_object('name', $1::text))`;

/** The uses in words: `the segment "Pros" and the sequence "Welcome" (funnel welcome: steps mark, pick)`. */
export function usesInWords(uses: readonly Use[]): string {
  return uses
    .map(({ kind, title, place = null }) => `the ${kind} "${title}"${place === null ? '' : ` (${place})`}`)
    .join(' and ');
}
