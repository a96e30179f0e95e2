"""Double entry in integer grams of CO2e: every posting debits one account what it credits another."""
