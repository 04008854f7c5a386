"""Exchange calendar, price sources, as-traded prices and company facts."""
