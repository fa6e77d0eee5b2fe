import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Values of own fields in blocks of 64 people, in their order, once each: `upto` has a word more, and in the word behind a
 * value a bit for everybody of the block whose value is not above it. A count over a million people reads that in a tenth
 * of the time that their own rows take. A block is out of date while `stale_block` names it; who reads it then reads the rows. Triggers
 * say so in the transaction that changes the values, whoever wrote it: a mark is a row of its own, so that no two
 * writers wait for each other, and those of a whole batch of people are a few.
 */
const FIELD_BLOCKS = `
create table field_block (
  field_id bigint not null references subscriber_field on delete cascade, block bigint not null,
  numbers float8[], texts text[], upto bigint[] not null,
  primary key (field_id, block));
create table stale_block (id bigint generated always as identity primary key, block bigint not null);

create function stale_blocks_of_new() returns trigger language plpgsql as $$ begin
  insert into stale_block (block) select distinct n.id >> 6 from made n where n.fields <> '{}';
  return null;
end $$;
create trigger stale_blocks_of_new after insert on subscriber referencing new table as made
  for each statement execute function stale_blocks_of_new();

-- By groups and no join: its plan is kept, and made for one person it would compare each of a large batch with all others.
create function stale_blocks_of_change() returns trigger language plpgsql as $$ begin
  insert into stale_block (block) select distinct c.id >> 6 from (
    select x.id from (select id, fields from earlier union all select id, fields from later) x
     group by x.id, x.fields having count(*) = 1) c;
  return null;
end $$;
create trigger stale_blocks_of_change after update on subscriber referencing old table as earlier new table as later
  for each statement execute function stale_blocks_of_change();

-- What is erased is erased here, too. A renewal that read the people just before may write it once more: it stays marked,
-- no count reads it, and the next renewal, ten seconds later, takes it out.
create function stale_blocks_of_gone() returns trigger language plpgsql as $$ begin
  insert into stale_block (block) select distinct g.id >> 6 from gone g where g.fields <> '{}';
  delete from field_block where (field_id, block) in (
    select b.field_id, b.block from (select distinct g.id >> 6 as block from gone g where g.fields <> '{}') g
      cross join subscriber_field f join field_block b on b.field_id = f.id and b.block = g.block
    order by b.field_id, b.block for update of b);
  return null;
end $$;
create trigger stale_blocks_of_gone after delete on subscriber referencing old table as gone
  for each statement execute function stale_blocks_of_gone();

create function no_blocks() returns trigger language plpgsql as $$ begin
  delete from field_block;
  delete from stale_block;
  return null;
end $$;
create trigger no_blocks after truncate on subscriber for each statement execute function no_blocks();

-- People may have values of a field that nobody has defined yet. The lock is that of a renewal: before the field is there for
-- others, none may take the mark of somebody whose value of it was not there yet when this looked.
create function stale_blocks_of_field() returns trigger language plpgsql as $$ begin
  perform pg_advisory_xact_lock(7311402616);
  insert into stale_block (block) select distinct s.id >> 6 from subscriber s where s.fields ? new.key;
  return null;
end $$;
create trigger stale_blocks_of_field after insert on subscriber_field for each row execute function stale_blocks_of_field();

insert into stale_block (block) select distinct id >> 6 from subscriber where fields <> '{}';
`;

export class FieldBlocks1765151460000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FIELD_BLOCKS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
