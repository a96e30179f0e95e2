-- Source, gas and scope by the emission rule, as carbon.emission has them; a test holds the two together.
CREATE VIEW IF NOT EXISTS emissions AS
SELECT
    subject, point, parts[1] AS source, parts[2] AS gas, toUInt8OrZero(parts[3]) AS scope,
    start, end, emission_g, measured, height, leaf_index
FROM
(
    SELECT
        *,
        splitByChar(' ', transform(rule,
            ['combustion', 'fuel', 'measured carbon', 'default carbon', 'purchased electricity',
             'market electricity', 'market-based electricity', 'heat', 'process', 'methane', 'biogenic', 'cems mass'],
            ['combustion CO2 1', 'combustion CO2 1', 'combustion CO2 1', 'combustion CO2 1', 'electricity CO2 2',
             'electricity CO2 2', 'electricity CO2 2', 'heat CO2 2', 'process CO2 1', 'methane CH4 1', 'biogenic CO2 0', 'stack CO2 1'],
            '')) AS parts
    FROM
    (
        SELECT
            subject, point, splitByChar(':', splitByString(' · ', rule)[1])[1] AS rule, window_start AS start,
            window_start + toIntervalSecond(window_seconds) AS end, emission_g, cause != 'SUBSTITUTED' AS measured,
            height, leaf_index
        FROM records_latest
        UNION ALL
        SELECT
            subject, JSONExtractString(content, 'source') AS point,
            replaceAll(JSONExtractString(arrayFirst(part -> JSONExtractString(part, 'name') = 'rule', JSONExtractArrayRaw(content, 'rule')), 'value'), '_', ' ') AS rule,
            fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') AS start,
            fromUnixTimestamp64Milli(JSONExtractInt(content, 'end'), 'UTC') AS end,
            JSONExtractInt(content, 'emission_g') AS emission_g, 1 AS measured, height, leaf_index
        FROM submissions
        WHERE kind = 'activity' AND verdict = 'accepted' AND (party, number) NOT IN
        (
            SELECT party, JSONExtractUInt(content, 'number') FROM submissions WHERE kind = 'reversal' AND verdict = 'accepted'
        )
    )
)
WHERE source != ''
COMMENT 'Every emission that counts now by source, gas and scope: the newest record of each window, and bills under their source as point';
