-- A vendor asks a whole sender to wait: no command is taken whose lane begins with the prefix, until then.
CREATE TABLE lane_pauses (
    prefix text        COLLATE "C" NOT NULL PRIMARY KEY,
    until  timestamptz NOT NULL
);
