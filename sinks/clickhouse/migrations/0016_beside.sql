-- What stands beside emissions needs exact rates: they come with registries and bills, as the ledger does. So it is read again.
CREATE TABLE IF NOT EXISTS rates_log
(
    `rule` String COMMENT 'Rule as records state it, without a tier or a stop; of a bill: leaf and its place in the log' CODEC(ZSTD),
    `unit` LowCardinality(String) COMMENT 'Unit of the quantity',
    `scale` UInt8 COMMENT 'Decimal places of the quantity',
    `factors` LowCardinality(String) COMMENT 'Digest of the factor set, hex',
    `standard_coal` String COMMENT 'Standard coal of 10^-scale unit, g, as numerator/denominator; empty where a row for it is missing',
    `market` String COMMENT 'Market-based CO2 of it, g, as numerator/denominator; empty where none is declared',
    `subject` String COMMENT 'Subject whose point or bill it is: who may see the rate'
)
ENGINE = ReplacingMergeTree
ORDER BY (rule, unit, scale, factors, subject)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Rates as they were written; ask rates';

CREATE VIEW IF NOT EXISTS rates AS
SELECT * FROM rates_log FINAL
COMMENT 'What stands beside the emission of a quantity, by its subject, rule and factor set, exact';

-- Source, gas and scope by the emission rule, as carbon.emission has them; a test holds the two together.
CREATE OR REPLACE VIEW emissions AS
SELECT
    subject, point, parts[1] AS source, parts[2] AS gas, toUInt8OrZero(parts[3]) AS scope,
    start, end, emission_g, measured, height, leaf_index,
    toInt64(coal_whole + if(2 * coal_rest > coal_bottom OR (2 * coal_rest = coal_bottom AND coal_whole % 2 != 0), 1, 0)) AS standard_coal_g,
    if(source = 'electricity', emission_g, NULL) AS location_based_g,
    toInt64(market_whole + if(2 * market_rest > market_bottom OR (2 * market_rest = market_bottom AND market_whole % 2 != 0), 1, 0)) AS market_based_g
FROM
(
    SELECT
        *,
        splitByChar(' ', transform(name,
            ['combustion', 'fuel', 'measured carbon', 'default carbon', 'purchased electricity',
             'heat', 'process', 'methane', 'biogenic', 'cems mass', 'cems methane'],
            ['combustion CO2 1', 'combustion CO2 1', 'combustion CO2 1', 'combustion CO2 1', 'electricity CO2 2',
             'heat CO2 2', 'process CO2 1', 'methane CH4 1', 'biogenic CO2 0', 'stack CO2 1', 'methane CH4 1'],
            '')) AS parts,
        -- the rest of a division down to the next integer below, as numerators may be negative
        quantity * toInt256OrNull(splitByChar('/', rates.standard_coal)[1]) AS coal_top,
        toInt256OrNull(splitByChar('/', rates.standard_coal)[2]) AS coal_bottom,
        coal_top % coal_bottom + if(coal_top % coal_bottom < 0, coal_bottom, toInt256(0)) AS coal_rest,
        intDiv(coal_top - coal_rest, coal_bottom) AS coal_whole,
        quantity * toInt256OrNull(splitByChar('/', rates.market)[1]) AS market_top,
        toInt256OrNull(splitByChar('/', rates.market)[2]) AS market_bottom,
        market_top % market_bottom + if(market_top % market_bottom < 0, market_bottom, toInt256(0)) AS market_rest,
        intDiv(market_top - market_rest, market_bottom) AS market_whole
    FROM
    (
        SELECT
            subject, point, splitByChar(':', splitByString(' · ', rule)[1])[1] AS name, splitByString(' · stopped', splitByString(' · tier ', rule)[1])[1] AS rule,
            unit, scale, factors, quantity, window_start AS start, window_start + toIntervalSecond(window_seconds) AS end,
            emission_g, cause != 'SUBSTITUTED' AS measured, height, leaf_index
        FROM records_latest
        UNION ALL
        SELECT
            subject, JSONExtractString(content, 'source') AS point,
            replaceAll(JSONExtractString(arrayFirst(part -> JSONExtractString(part, 'name') = 'rule', JSONExtractArrayRaw(content, 'rule')), 'value'), '_', ' ') AS name,
            concat('leaf ', toString(leaf_index)) AS rule,
            JSONExtractString(content, 'unit') AS unit, toUInt8(JSONExtractUInt(content, 'scale')) AS scale,
            JSONExtractString(content, 'factors') AS factors, JSONExtractInt(content, 'quantity') AS quantity,
            fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') AS start,
            fromUnixTimestamp64Milli(JSONExtractInt(content, 'end'), 'UTC') AS end,
            JSONExtractInt(content, 'emission_g') AS emission_g, 1 AS measured, height, leaf_index
        FROM submissions
        WHERE kind = 'activity' AND verdict = 'accepted' AND (party, number) NOT IN
        (
            SELECT party, JSONExtractUInt(content, 'number') FROM submissions WHERE kind = 'reversal' AND verdict = 'accepted'
        )
    ) AS counted
    LEFT JOIN rates ON counted.subject = rates.subject AND counted.rule = rates.rule AND counted.unit = rates.unit AND counted.scale = rates.scale AND counted.factors = rates.factors
)
WHERE source != ''
COMMENT 'Every emission that counts now by source, gas and scope: the newest record of each window, and bills under their source as point. Beside it, added to nothing: standard coal, and purchased electricity by both methods';

TRUNCATE TABLE ledger_position;
