/**
 * In SQL, the version of the words that a mail `m` gets since its owner has changed those of its broadcast in a pause; null: it
 * keeps its own. So does one that may be with its relay already: sent once more it is the same mail, under the same Message-ID.
 */
export const NEW_WORDS = `(select (k.reworded ->> m.email_template_id::text)::bigint from broadcast k
    where k.id = m.broadcast_id and m.unknown_count = 0)`;

/** In SQL, the version that a mail `m` went with, or would go with now. */
export const WORDS_OF_MAIL = `coalesce(case when m.state in ('ready', 'held') then ${NEW_WORDS} end, m.email_template_id)`;

/**
 * In SQL, these versions and those that mails had before they get one of these: to pass over the mails that would go with them.
 * By the few broadcasts that are under way, once in a statement.
 */
export const goingWith = (versions: string): string => `((select ${versions} || array(
    select w.key::bigint from broadcast k cross join jsonb_each_text(k.reworded) w
    where k.state in ('planning', 'running') and w.value::bigint = any(${versions})))::bigint[])`;
